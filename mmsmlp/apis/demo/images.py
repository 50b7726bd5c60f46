"""Images of visitors, and images to begin with."""

from __future__ import annotations

import os
import warnings
from itertools import islice
from math import sqrt
from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmengine.config import Config
from PIL import Image

from mmsmlp.datasets.mini.scenes import render_scene
from mmsmlp.engine.runner import inner_datasets
from mmsmlp.errors import UsageError

FORMATS = ("BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
MEGAPIXELS = 50
LIMIT = f"at most {MEGAPIXELS} megapixels are taken"
MAX_ASPECT = 16
# The longer side of drawn images: boxes and labels would cover a smaller one.
SHOWN = (640, 1280)
EXAMPLES = 6


def check_image(path: str | None) -> str:
    """Make sure that an image of a visitor can be taken.

    Args:
        path: Of a file that may be anything, or be gone.

    Returns:
        The path.

    Raises:
        UsageError: If it is no image, or one that is too large.
    """
    if path is None:
        raise UsageError("Choose an image first.")
    if not os.path.isfile(path):
        raise UsageError("The image is not kept any longer: upload it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                _check_size(width, height)
                # To its end, because OpenCV fills missing parts with grey. Of a JPEG little is
                # computed.
                image.draft("RGB", (1, 1))
                image.load()
        is_image = mmcv.imread(path, "unchanged") is not None
    except Image.DecompressionBombError as error:
        raise UsageError(f"The image is too large; {LIMIT}.") from error
    except (OSError, SyntaxError, ValueError, cv2.error):
        is_image = False
    if not is_image:
        raise UsageError(f"This file is no image, or is broken. Allowed: {', '.join(FORMATS)}.")
    return path


def _check_size(width: int, height: int) -> None:
    if width * height > MEGAPIXELS * 10**6:
        raise UsageError(f"The image has {width}x{height} pixels; {LIMIT}.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UsageError(
            f"The image has {width}x{height} pixels; one side may be at most {MAX_ASPECT} times "
            "the other."
        )


def size_of(image: np.ndarray, short: int, most: int | None = None) -> tuple[int, int]:
    """Width and height of an image whose shorter side is given.

    Args:
        image: The image, ``(H, W, 3)``.
        short: The shorter side in pixels.
        most: How many pixels there may be in all; a side gets shorter if need be.
    """
    height, width = image.shape[:2]
    scale = short / min(height, width)
    if most is not None:
        scale = min(scale, sqrt(most / (height * width)))
    return max(1, round(scale * width)), max(1, round(scale * height))


def as_shown(image: np.ndarray) -> np.ndarray:
    """An image as pictures of it are drawn: neither too small for words, nor very large."""
    height, width = image.shape[:2]
    long = max(height, width)
    scale = np.clip(long, *SHOWN) / long
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return mmcv.imresize(image, size, interpolation="area" if scale < 1 else "bicubic")


def example_images(cfg: Config, folder: Path, count: int = EXAMPLES) -> list[str]:
    """Paths of images to begin with: of the config's test set, or else rendered ones.

    Args:
        cfg: The config.
        folder: Where rendered ones are written.
        count: How many.
    """
    dataset = next(inner_datasets(cfg.get("test_dataloader", {}).get("dataset")), {})
    prefix = dataset.get("data_prefix") or ""
    if isinstance(prefix, dict):
        prefix = prefix.get("img") or prefix.get("img_path") or ""
    images = Path(dataset.get("data_root") or "", prefix)
    found = []
    if prefix and images.is_dir():
        suffixes = (".jpg", ".jpeg", ".png")
        files = (path for path in images.rglob("*") if path.suffix.lower() in suffixes)
        found = sorted(islice(files, 1000))  # of ImageNet there would be many more
    if found:
        return [str(found[i * len(found) // count]) for i in range(min(count, len(found)))]
    for i in range(count):
        path = folder / f"scene_{i + 1}.jpg"
        scene = render_scene(np.random.default_rng(i))
        mmcv.imwrite(scene.image[..., ::-1], str(path))
        found.append(path)
    return [str(path) for path in found]
