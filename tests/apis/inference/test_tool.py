"""tools/infer.py: what it takes, what it says in the end, and its exit status."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.apis.inference.conftest import configure  # isort: skip

TOOL = Path(__file__).parents[3] / "tools" / "infer.py"


@pytest.fixture
def infer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["infer", *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name="__main__")

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, and one that is none."""
    path = tmp_path / "images"
    path.mkdir()
    for name, value in (("a.png", 50), ("b.pgm", 200)):
        cv2.imwrite(str(path / name), np.full((40, 50), value, np.uint8))
    (path / "c.jpg").write_bytes(b"nothing of the kind")
    (path / ".hidden.jpg").write_bytes(b"nothing of the kind")
    return path


@pytest.mark.parametrize("scope", ["mmdet", "mmpretrain", "mmseg"])
def test_a_failing_image_is_named_and_the_others_are_predicted(
    infer: Callable, saved: Callable, folder: Path, tmp_path: Path, capsys, scope: str
) -> None:
    config, checkpoint = saved(configure(scope))
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as error:
        infer(config, checkpoint, folder, "--out-dir", out, "--batch-size", 2)
    line = f"error: 1 of 3 inputs failed ({folder / 'c.jpg'}); predictions: {out}"
    assert error.value.code == line
    assert f"skipped: {folder / 'c.jpg'} cannot be read or prepared (" in capsys.readouterr().err
    images = json.loads((out / "images.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["a.png", "b.pgm"]
    assert sorted(path.name for path in (out / "vis").iterdir()) == ["a.png", "b.pgm.png"]


def test_patterns_and_sizes_are_taken(
    infer: Callable, saved: Callable, folder: Path, tmp_path: Path, capsys
) -> None:
    config, checkpoint = saved(configure("mmseg"))
    out = tmp_path / "out"
    infer(config, checkpoint, f"{folder}/*.p*", "--size", 48, "--classes", "dog", "--out-dir", out)
    assert capsys.readouterr().out.strip().endswith(f"predictions: {out}")
    for name in ("a", "b"):
        labels = cv2.imread(str(out / "maps" / f"{name}.png"), -1)
        assert labels.shape == (40, 50) and set(np.unique(labels)) <= {1, 255}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", 0], "--size must be at least 1, got 0"),
        (["--classes", "dogg"], "--classes: there is no class 'dogg'; did you mean dog?"),
        (["--rest", "x.pth"], "--rest goes with an exported file, and '.*' is none"),
        (["--score-thr", 0.5], "--score-thr is for detectors"),
    ],
)
def test_an_error_that_a_user_can_fix_is_one_line(
    infer: Callable, saved: Callable, folder: Path, options: list, message: str
) -> None:
    config, checkpoint = saved(configure("mmseg"))
    with pytest.raises(SystemExit) as error:
        infer(config, checkpoint, folder / "a.png", *options)
    assert error.match(f"^error: {message}")
    assert "\n" not in error.value.code
