"""The prediction sheet picks images at equal distances and shows all of them."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import matplotlib.image
import numpy as np
import pytest
from mmengine.visualization import Visualizer

from mmsmlp.engine.hooks import PredictionSheetHook


class Painter:
    """A visualizer that paints the whole picture in the sample's colour."""

    def __init__(self) -> None:
        self.drawn: list[int] = []

    def add_datasample(self, name, image, data_sample, out_file) -> None:
        self.drawn.append(data_sample.index)
        cv2.imwrite(out_file, np.full_like(image, data_sample.index))


@pytest.mark.parametrize(
    ("num_batches", "batch_size", "num_images", "expected"),
    [
        (12, 1, 4, [0, 3, 6, 9]),
        (3, 4, 6, [0, 1, 4, 5, 8, 9]),
        (2, 1, 6, [0, 1]),
        (7, 2, 3, [0, 4, 8]),
        (16, 4, 12, [0, 4, 8, 16, 20, 24, 32, 36, 40, 48, 52, 56]),
    ],
)
def test_images_are_spread_over_the_set(
    num_batches: int, batch_size: int, num_images: int, expected: list[int], tmp_path: Path
) -> None:
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), np.zeros((20, 30, 3), np.uint8))
    runner = SimpleNamespace(
        visualizer=Painter(), val_dataloader=range(num_batches), work_dir=str(tmp_path)
    )
    hook = PredictionSheetHook(num_images=num_images, filename="sheet.png")
    for _ in range(2):  # the second validation starts anew
        runner.visualizer.drawn.clear()
        hook.before_val_epoch(runner)
        for batch in range(num_batches):
            samples = [
                SimpleNamespace(index=batch * batch_size + i, img_path=str(image))
                for i in range(batch_size)
            ]
            hook.after_val_iter(runner, batch, outputs=samples)
        hook.after_val_epoch(runner)
        assert runner.visualizer.drawn == expected
    sheet = matplotlib.image.imread(tmp_path / "sheet.png")[..., :3]
    colours = {tuple(colour) for colour in np.round(sheet.reshape(-1, 3) * 255).astype(int)}
    assert {(i, i, i) for i in expected} <= colours


def test_no_images_no_sheet(tmp_path: Path) -> None:
    hook = PredictionSheetHook()
    hook.after_test_epoch(SimpleNamespace(work_dir=str(tmp_path)))
    assert not list(tmp_path.iterdir())


def test_a_run_continues_without_a_visualizer_of_its_library(tmp_path: Path) -> None:
    warnings: list[str] = []
    runner = SimpleNamespace(
        visualizer=Visualizer(),
        val_dataloader=range(1),
        work_dir=str(tmp_path),
        logger=SimpleNamespace(warning=warnings.append),
    )
    hook = PredictionSheetHook()
    hook.before_run(runner)
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, outputs=[SimpleNamespace(img_path="nowhere.jpg")])
    hook.after_val_epoch(runner)
    assert not list(tmp_path.iterdir())
    assert len(warnings) == 1 and "no predictions.png" in warnings[0]
