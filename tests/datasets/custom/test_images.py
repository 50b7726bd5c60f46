"""Image files: their sizes as training sees them, and those that it could not read."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmsmlp.datasets.custom import look_at_images
from mmsmlp.errors import DataError


def test_missing_and_broken_images_are_told_apart(own_images: Path, tmp_path: Path) -> None:
    shutil.copy(own_images / "1.png", tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    found = look_at_images(
        tmp_path, ["1.png", "whole.jpg", "torn.jpg", "text.jpg", "b.png", "a.png", "1.png"]
    )
    assert found.sizes == {"1.png": (64, 48), "whole.jpg": (50, 40)}
    assert found.missing == ["a.png", "b.png"]
    assert found.broken == ["torn.jpg", "text.jpg"]


def test_a_photograph_taken_sideways_has_the_size_that_training_gets(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (60, 40)).save(path, exif=exif)
    height, width = cv2.imread(str(path)).shape[:2]
    assert look_at_images(tmp_path, ["photo.jpg"]).sizes["photo.jpg"] == (width, height) == (40, 60)


def test_a_folder_without_any_of_the_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of its 2 images is there; .*train/a\.jpg"):
        look_at_images(tmp_path, ["train/a.jpg", "train/b.jpg"])
