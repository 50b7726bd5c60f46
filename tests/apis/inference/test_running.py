"""From sources to files."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsmlp.apis.inference import Classification, Segmentation, predict_all, sources_of

CLASSES = dict(classes=["dark", "light"])


def lightness(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A classifier."""
    return [np.array([1 - image.mean() / 255, image.mean() / 255]) for image in images]


def light_pixels(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A segmentor."""
    return [(image.mean(axis=2) > 128).astype(np.int64) for image in images]


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
    sources = sources_of([str(inputs / "clip.avi"), str(inputs)])
    assert predict_all(sources, lightness, Classification(CLASSES), out, batch_size) == []
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
    sources = sources_of([str(inputs), str(inputs / "clip.avi")])
    predict_all(sources, light_pixels, Segmentation(CLASSES), out, 3)
    names = [f"maps/{i}.png" for i in range(3)] + [f"maps/clip/{i:06}.png" for i in range(5)]
    assert [result["index_map"] for result in read(out)[1]] == names
    means = [cv2.imread(str(out / name), -1).mean() for name in names]
    assert means == [0, 1, 1, 0, 0, 0, 1, 1]


def test_what_cannot_be_read_is_told_and_passed_over(
    inputs: Path, out: Path, capsys: pytest.CaptureFixture
) -> None:
    (inputs / "1.png").write_bytes((inputs / "1.png").read_bytes()[:50])
    broken = predict_all(sources_of([str(inputs)]), lightness, Classification(CLASSES), out, 2)
    assert [source.name for source in broken] == ["1.png"]
    images, results = read(out)
    assert [image["file_name"] for image in images["images"]] == ["0.png", "2.png"]
    assert [result["image_id"] for result in results] == [1, 2]
    shown = capsys.readouterr().err
    assert f"skipped: {inputs / '1.png'} cannot be read" in shown
    assert "3/3" in shown and "images/s" in shown


@pytest.mark.parametrize("done", [2, 5])
def test_an_interrupted_run_keeps_what_it_has(inputs: Path, out: Path, done: int) -> None:
    def interrupted(images: Sequence[np.ndarray]) -> list[np.ndarray]:
        nonlocal done
        if not done:
            raise KeyboardInterrupt
        done -= 1
        return lightness(images)

    count = done
    sources = sources_of([str(inputs), str(inputs / "clip.avi")])
    with pytest.raises(KeyboardInterrupt):
        predict_all(sources, interrupted, Classification(CLASSES), out)
    images, results = read(out)
    assert len(images["images"]) == len(results) == count
    names = ["0.png", "1.png"] if count == 2 else ["0.png", "1.png", "2.png", "clip.mp4"]
    assert sorted(path.name for path in (out / "vis").iterdir()) == names
    if count == 5:
        capture = cv2.VideoCapture(str(out / "vis" / "clip.mp4"))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 2
