"""From sources to files."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, PixelData
from torch import nn

from mmsmlp.apis.inference import Prepared, build_task, predict_all, sources_of

CLASSES = dict(classes=["dark", "light"], palette=[(0, 0, 0), (255, 255, 255)])


class Lightness:
    """Stands for a model and its pipeline: tells dark images or pixels from light ones."""

    def __init__(self, scope: str, fails: Callable[[np.ndarray], bool] = lambda image: False):
        self.scope, self.fails = scope, fails

    def prepare(self, image: Path | np.ndarray) -> Prepared:
        picture = cv2.imread(str(image)) if isinstance(image, Path) else image
        return Prepared(dict(inputs=picture.copy()), picture)

    def predict(self, prepared: Sequence[Prepared]) -> list[BaseDataElement]:
        if any(self.fails(one.picture) for one in prepared):
            raise RuntimeError("out of memory\nat some place")
        return [self.sample(one.data["inputs"]) for one in prepared]

    def sample(self, image: np.ndarray) -> BaseDataElement:
        if self.scope == "mmseg":
            labels = torch.from_numpy((image.mean(axis=2) > 128).astype(np.int64))[None]
            return BaseDataElement(pred_sem_seg=PixelData(data=labels))
        light = image.mean() / 255
        label = torch.tensor([int(light > 0.5)])
        return BaseDataElement(pred_score=torch.tensor([1 - light, light]), pred_label=label)


def predict(
    words: list[Path], out: Path, batch_size: int = 1, scope: str = "mmpretrain", **options: Any
) -> dict[str, int]:
    """How many images failed, by the names of sources."""
    pytest.importorskip(scope)
    task = build_task(Config(dict(default_scope=scope)), nn.Module(), CLASSES)
    sources = sources_of([str(word) for word in words])
    failed = predict_all(sources, Lightness(scope, **options), task, out, batch_size)
    return {source.name: number for source, number in failed.items()}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Three images of rising lightness, and a video of five frames."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((24, 32, 3), 50 + 90 * i, np.uint8))
    writer = cv2.VideoWriter(
        str(folder / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24)
    )
    for i in range(5):
        writer.write(np.full((24, 32, 3), 50 * i, np.uint8))
    writer.release()
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def read(out: Path) -> tuple[dict, list]:
    return tuple(json.loads((out / f"{name}.json").read_text()) for name in ("images", "results"))


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_every_image_and_frame_gets_its_result(inputs: Path, out: Path, batch_size: int) -> None:
    assert predict([inputs / "clip.avi", inputs], out, batch_size) == {}
    images, results = read(out)
    assert images["categories"] == [dict(id=0, name="dark"), dict(id=1, name="light")]
    size = dict(height=24, width=32)
    assert images["images"] == [
        *(dict(id=i + 1, file_name="clip.avi", frame_id=i, **size) for i in range(5)),
        *(dict(id=i + 6, file_name=f"{i}.png", **size) for i in range(3)),
    ]
    assert [result["image_id"] for result in results] == list(range(1, 9))
    assert [result["category_id"] for result in results] == [0, 0, 0, 1, 1, 0, 1, 1]
    assert sorted(path.name for path in out.rglob("*")) == sorted(
        ["images.json", "results.json", "vis", "clip.mp4", "0.png", "1.png", "2.png"]
    )
    capture = cv2.VideoCapture(str(out / "vis" / "clip.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5 and capture.get(cv2.CAP_PROP_FPS) == 10


def test_index_maps_have_names_of_their_own(inputs: Path, out: Path) -> None:
    predict([inputs, inputs / "clip.avi"], out, 3, "mmseg")
    names = [f"maps/{i}.png" for i in range(3)] + [f"maps/clip/{i:06}.png" for i in range(5)]
    assert [result["index_map"] for result in read(out)[1]] == names
    means = [cv2.imread(str(out / name), -1).mean() for name in names]
    assert means == [0, 1, 1, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_an_image_that_fails_is_listed_and_skipped(
    inputs: Path, out: Path, capsys: pytest.CaptureFixture, batch_size: int
) -> None:
    (inputs / "1.png").write_bytes((inputs / "1.png").read_bytes()[:50])
    assert predict([inputs], out, batch_size) == {"1.png": 1}
    images, results = read(out)
    assert [image["file_name"] for image in images["images"]] == ["0.png", "2.png"]
    assert [result["image_id"] for result in results] == [1, 2]
    shown = capsys.readouterr().err
    assert f"skipped: {inputs / '1.png'} cannot be read or prepared (AttributeError: " in shown
    assert "predict" in shown and "3/3" in shown


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_image_that_the_model_fails_at_is_passed_over(
    inputs: Path, out: Path, capsys: pytest.CaptureFixture, batch_size: int
) -> None:
    failed = predict([inputs], out, batch_size, fails=lambda image: image.mean() == 140)
    assert failed == {"1.png": 1}
    assert [image["file_name"] for image in read(out)[0]["images"]] == ["0.png", "2.png"]
    assert "1.png the model fails (RuntimeError: out of memory)\n" in capsys.readouterr().err


class Holes:
    """A video of ten frames, of which some cannot be decoded, and some may be missing."""

    def __init__(self, path: str) -> None:
        self.frames = [np.full((24, 32, 3), 20 * i, np.uint8) for i in range(10)]
        self.frames[3] = self.frames[4] = None
        self.frames = self.frames[: 10 - ("cut" in path) * 2]

    def isOpened(self) -> bool:
        return True

    def get(self, what: int) -> float:
        return 10

    def read(self) -> tuple[bool, np.ndarray | None]:
        frame = self.frames.pop(0) if self.frames else None
        return frame is not None, frame

    def release(self) -> None:
        pass


@pytest.mark.parametrize(("name", "lacks"), [("hole.mp4", 2), ("cut.mp4", 4)])
def test_frames_that_cannot_be_decoded_are_counted(
    inputs: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    name: str,
    lacks: int,
) -> None:
    (inputs / name).touch()
    monkeypatch.setattr("cv2.VideoCapture", Holes)
    assert predict([inputs / name], out, 4) == {name: lacks}
    frames = [image["frame_id"] for image in read(out)[0]["images"]]
    assert frames == [0, 1, 2, 5, 6, 7, 8, 9][: 10 - lacks]
    assert capsys.readouterr().err.count("skipped: frame 3 of ") == 1


def test_a_prediction_that_cannot_be_drawn_is_written(
    inputs: Path, out: Path, capsys: pytest.CaptureFixture
) -> None:
    """mmseg's visualizer takes a map of one pixel for an index."""
    cv2.imwrite(str(inputs / "pixel.png"), np.full((1, 1, 3), 200, np.uint8))
    assert predict([inputs / "pixel.png", inputs / "2.png"], out, scope="mmseg") == {}
    assert len(read(out)[1]) == 2 and (out / "vis" / "pixel.png").exists()
    assert "not drawn: predictions on " in capsys.readouterr().err


def test_frames_of_a_video_that_cannot_be_written_are_pictures(
    inputs: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    class NoWriter:
        def __init__(self, *_: object) -> None:
            pass

        def isOpened(self) -> bool:
            return False

    monkeypatch.setattr("cv2.VideoWriter", NoWriter)
    assert predict([inputs / "clip.avi", inputs / "0.png"], out) == {}
    names = sorted(path.name for path in (out / "vis").rglob("*.png"))
    assert names == ["0.png", *(f"{i:06}.png" for i in range(5))]
    assert capsys.readouterr().err.count("cannot write the video") == 1


def test_colours_of_a_grey_format_are_written_as_png(inputs: Path, out: Path) -> None:
    cv2.imwrite(str(inputs / "a.pgm"), np.full((24, 32), 200, np.uint8))
    assert predict([inputs / "a.pgm", inputs / "2.png"], out) == {}
    assert sorted(path.name for path in (out / "vis").iterdir()) == ["2.png", "a.pgm.png"]


def test_a_frame_of_another_size_stays_in_the_video(
    inputs: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Growing(Holes):
        def __init__(self, path: str) -> None:
            self.frames = [np.full((24 + 8 * i, 32, 3), 90, np.uint8) for i in range(10)]

    with monkeypatch.context() as patch:
        patch.setattr("cv2.VideoCapture", Growing)
        assert predict([inputs / "clip.avi"], out) == {}
    assert cv2.VideoCapture(str(out / "vis" / "clip.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 10


@pytest.mark.parametrize("done", [2, 5])
def test_an_interrupted_run_keeps_its_results(inputs: Path, out: Path, done: int) -> None:
    def interrupted(image: np.ndarray) -> bool:
        nonlocal done
        if not done:
            raise KeyboardInterrupt
        done -= 1
        return False

    count = done
    with pytest.raises(KeyboardInterrupt):
        predict([inputs, inputs / "clip.avi"], out, fails=interrupted)
    images, results = read(out)
    assert len(images["images"]) == len(results) == count
    names = ["0.png", "1.png"] if count == 2 else ["0.png", "1.png", "2.png", "clip.mp4"]
    assert sorted(path.name for path in (out / "vis").iterdir()) == names
    if count == 5:
        capture = cv2.VideoCapture(str(out / "vis" / "clip.mp4"))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 2
