"""The image files of a data set."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track

from mmsmlp.errors import DataError

# What OpenCV reads in training.
FORMATS = ("BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
ORIENTATION = 0x0112
# Of the orientations of a camera, those that turn an image on its side.
SIDEWAYS = (5, 6, 7, 8)


@dataclass
class Images:
    """What became of image files.

    Attributes:
        folder: Where they are.
        sizes: Width and height, by name, as training gets them.
        missing: Names of those that are not there.
        broken: Names of those that cannot be read to their end.
    """

    folder: Path
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def look_at_images(folder: Path, names: Iterable[str]) -> Images:
    """Read images to their end, side by side.

    Args:
        folder: Where they are.
        names: Their paths within it.

    Raises:
        DataError: If none is there.
    """
    found = Images(folder)
    names = list(dict.fromkeys(names))
    there = [name for name in names if (folder / name).is_file()]
    found.missing = sorted(set(names) - set(there))
    if not there:
        first = folder / names[0]
        raise DataError(f"none of its {len(names)} images is there; the first would be {first}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = pool.map(lambda name: _size(folder / name), there)
        bar = track(sizes, f"images of {folder}", len(there), console=Console(stderr=True))
        for name, size in zip(there, bar, strict=True):
            if size is None:
                found.broken.append(name)
            else:
                found.sizes[name] = size
    return found


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height; None if the image cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            size = image.size
            sideways = image.getexif().get(ORIENTATION) in SIDEWAYS
            # Of a JPEG, all is read but little computed.
            image.draft("RGB", (1, 1))
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return size[::-1] if sideways else size
