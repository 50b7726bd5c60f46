"""Image files, read as training reads them."""

from __future__ import annotations

import io
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import mmcv
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from mmsmlp.errors import DataError

from .report import Report

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".jp2", ".gif", ".avif"),
)
ORIENTATION = 0x0112
# OpenCV turns images as their EXIF says, but for these.
NOT_TURNED = ("WEBP",)
INVERSE = {6: 8, 8: 6}
# Of more than 8 bits, training keeps the highest 8.
DARK, BRIGHT_SHARE = 32, 1e-3
# One of this size is decoded at a time; larger ones would take more than 2 GB.
LARGE, MOST_PIXELS = 3e7, 5e8
_large = Lock()
UNREADABLE = "that training cannot read"
NEARLY_BLACK = (
    "of more than 8 bits that use little of the range, so that training and infer see them nearly "
    "black (convert them to 8 bits)"
)


@dataclass
class Images:
    """What became of image files, by their names.

    Attributes:
        folder: Where they are.
        paths: Paths within it of those that can be trained on.
        sizes: Their width and height, as training gets them.
        turns: EXIF orientations, 1 to 8, from the other frame to that of training.
        missing: Names of those that are not there.
        faults: Names of those that are no good, by what is wrong with them.
    """

    folder: Path
    paths: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def note(self, report: Report) -> None:
        """Report what is wrong with files."""
        report.note(f"left out: images that are not in {self.folder}", self.missing)
        for fault, names in self.faults.items():
            report.note(f"left out: images {fault}", names)


def read_images(folder: Path, names: Iterable[str]) -> Images:
    """Read images to their end, side by side.

    Args:
        folder: Where they are.
        names: Their paths within it, or what other programs make of these.

    Raises:
        DataError: If none is there.
    """
    names = list(dict.fromkeys(names))
    found = Images(folder)
    found.paths = dict(_find(folder, names))
    found.missing = sorted(set(names) - set(found.paths))
    if not found.paths:
        first = folder / names[0]
        raise DataError(f"none of its {len(names)} images is there; the first would be {first}")
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(lambda path: _read(folder / path), found.paths.values())
        bar = track(read, f"images of {folder}", len(found.paths), console=Console(stderr=True))
        for name, (size, turn, fault) in zip(list(found.paths), bar, strict=True):
            if fault:
                found.faults[fault].append(name)
                del found.paths[name]
            else:
                found.sizes[name] = size
                found.turns[name] = turn
    Image.MAX_IMAGE_PIXELS = limit
    return found


def _find(folder: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """Paths of names, also where a path, its case or the form of its accents differ."""
    absent = []
    for name in names:
        if name and os.path.isfile(folder / name):
            yield name, name
        else:
            absent.append(name)
    if not absent:
        return
    found, by_name = set(names) - set(absent), {}
    for path in files_of(folder):
        by_name.setdefault(_plain(path), []).append(path)
    wanted = Counter(map(_plain, absent))
    for name in absent:
        paths = by_name.get(_plain(name), [])
        if len(paths) == 1 and wanted[_plain(name)] == 1 and paths[0] not in found:
            yield name, paths[0]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2]).lower()


def files_of(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    """Image files below a folder, as paths within it; hidden ones and their like do not count."""
    found = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        if len(Path(root).relative_to(folder).parts) > 20:
            folders.clear()  # a link leads back
        inside = os.path.relpath(root, folder)
        found += [
            os.path.normpath(os.path.join(inside, name))
            for name in sorted(files)
            if name.lower().endswith(suffixes) and not is_hidden(name)
        ]
    return found


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that a system or an editor left."""
    return name.startswith((".", "__MACOSX", "@eaDir")) or name == "lost+found"


def _read(path: Path) -> tuple[tuple[int, int], int, str]:
    """Width and height, orientation, and what is wrong, if anything is."""
    try:
        content = path.read_bytes()
    except OSError:
        return (0, 0), 1, UNREADABLE
    pixels, turn, is_checked = 0, 1, False
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels, is_checked = image.width * image.height, image.format in ("JPEG", "PNG")
            turn = _orientation(image)
            if image.format == "JPEG":
                # OpenCV may fill with grey what is missing. Little is computed.
                image.draft("RGB", (1, 1))
                image.load()
            elif image.format == "PNG":
                image.verify()  # OpenCV would reserve memory for what a broken length says
    except Exception:
        # Of what Pillow cannot open, OpenCV reads TIFFs; of others it may believe a broken header.
        if is_checked or not (pixels or content.startswith((b"II", b"MM"))):
            return (0, 0), 1, UNREADABLE
    if pixels > MOST_PIXELS:
        return (0, 0), 1, f"of more than {MOST_PIXELS / 1e6:.0f} megapixels"
    with _large if pixels > LARGE else nullcontext():
        array = decode(content)
        if array is None:
            return (0, 0), 1, UNREADABLE
        some = array[::2, ::2]
        if np.count_nonzero(some > DARK) < BRIGHT_SHARE * some.size:
            deep = decode(content, "unchanged")
            if deep is not None and deep.dtype != np.uint8 and deep.max() > 0:
                return (0, 0), 1, NEARLY_BLACK
    height, width = array.shape[:2]
    return (width, height), turn, ""


def _orientation(image: Image.Image) -> int:
    """Orientation by EXIF, 1 to 8; inverse where OpenCV shows the image as it is stored."""
    # Of a PNG, Pillow would read all pixels in search of it.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken EXIF, which OpenCV passes over
        return 1
    turn = turn if isinstance(turn, int) and 1 < turn <= 8 else 1
    return INVERSE.get(turn, turn) if image.format in NOT_TURNED else turn


def decode(content: bytes, flag: str = "color", backend: str | None = None) -> np.ndarray | None:
    """Pixels of an image file as mmcv reads it; None if it cannot."""
    try:
        return mmcv.imfrombytes(content, flag=flag, backend=backend)
    except Exception:
        return None
