"""Image files, read as training reads them."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import mmcv
import numpy as np
from PIL import Image

from mmsmlp.errors import DataError

from .report import Report, read_all

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".jp2", ".gif", ".avif"),
)
Size = tuple[int, int]
ORIENTATION = 0x0112
# OpenCV applies the EXIF orientation, but not for WebP.
INVERSE = {6: 8, 8: 6}
# Of more than 8 bits, training keeps the highest 8.
DARK, BRIGHT_SHARE = 32, 1e-3
# One of this size is decoded at a time; larger ones would take more than 2 GB.
LARGE, MOST_PIXELS = 3e7, 5e8
_large = Lock()
UNREADABLE = "that training cannot read"
TOO_LARGE = f"of more than {MOST_PIXELS / 1e6:.0f} megapixels"
NEARLY_BLACK = (
    "of more than 8 bits that use little of the range, so that training and infer see them nearly "
    "black (convert them to 8 bits)"
)


class ImageFile(NamedTuple):
    """An image that can be trained on.

    Attributes:
        path: Within its folder.
        size: Width and height, as training gets them.
        turn: EXIF orientation, 1 to 8, from the other frame to that of training.
    """

    path: str
    size: Size
    turn: int


def read_images(folder: Path, names: Iterable[str], report: Report) -> dict[str, ImageFile]:
    """Read images to their end, side by side, and report those that are no good.

    Args:
        folder: Where they are.
        names: Their paths within it, or variants by other programs.
        report: Takes the findings.

    Raises:
        DataError: If none is there.
    """
    names = list(dict.fromkeys(names))
    paths = _find(folder, names)
    if not paths:
        first = folder / names[0]
        raise DataError(f"none of its {len(names)} images is there; the first would be {first}")
    report.note(f"left out: images that are not in {folder}", sorted(set(names) - set(paths)))
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    read = read_all(lambda p: _read(folder, p), list(paths.values()), f"images of {folder}")
    Image.MAX_IMAGE_PIXELS = limit
    found = dict(zip(paths, read, strict=True))
    for fault in (UNREADABLE, TOO_LARGE, NEARLY_BLACK):
        report.note(f"left out: images {fault}", (n for n, file in found.items() if file == fault))
    good = {name: file for name, file in found.items() if isinstance(file, ImageFile)}
    mirrored = [name for name, file in good.items() if 1 < file.turn < 5]
    report.note(
        "images that EXIF mirrors or turns upside down; annotations count for them "
        "as they are shown",
        mirrored,
    )
    return good


def _find(folder: Path, names: list[str]) -> dict[str, str]:
    """Paths of names; of a path elsewhere, that of the only file of its name."""
    found = {name: name for name in names if name and os.path.isfile(folder / name)}
    if len(found) < len(names):
        paths = defaultdict(list)
        for path in files_of(folder):
            paths[Path(path).name.lower()].append(path)
        for name in names:
            same = paths[name.replace("\\", "/").rpartition("/")[2].lower()]
            if name not in found and len(same) == 1 and same[0] not in found:
                found[name] = same[0]
    return found


def files_of(folder: Path) -> list[str]:
    """Image files below a folder, as paths within it; hidden ones and their like do not count."""
    found = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        inside = Path(root).relative_to(folder)
        if len(inside.parts) > 20:
            folders.clear()  # a link leads back
        good = (n for n in sorted(files) if n.lower().endswith(SUFFIXES) and not is_hidden(n))
        found += [str(inside / name) for name in good]
    return found


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that a system or an editor left."""
    return name.startswith((".", "__MACOSX", "@eaDir")) or name == "lost+found"


def _read(folder: Path, path: str) -> ImageFile | str:
    """An image, or its error."""
    try:
        content = (folder / path).read_bytes()
    except OSError:
        return UNREADABLE
    pixels, turn, is_checked = 0, 1, False
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels, is_checked = image.width * image.height, image.format in ("JPEG", "PNG")
            turn = _orientation(image)
            if image.format == "JPEG":
                # OpenCV may fill missing parts with grey. Little is computed.
                image.draft("RGB", (1, 1))
                image.load()
            elif image.format == "PNG":
                image.verify()  # OpenCV would allocate the memory of a broken length
    except Exception:
        # Pillow cannot open some TIFFs that OpenCV reads; of others it may believe a broken header.
        if is_checked or not (pixels or content.startswith((b"II", b"MM"))):
            return UNREADABLE
    if pixels > MOST_PIXELS:
        return TOO_LARGE
    with _large if pixels > LARGE else nullcontext():
        array = decode(content)
        if array is None:
            return UNREADABLE
        some = array[::2, ::2]
        if np.count_nonzero(some > DARK) < BRIGHT_SHARE * some.size:
            deep = decode(content, "unchanged")
            if deep is not None and deep.dtype != np.uint8 and deep.max() > 0:
                return NEARLY_BLACK
    return ImageFile(path, array.shape[1::-1], turn)


def _orientation(image: Image.Image) -> int:
    """Orientation by EXIF, 1 to 8; inverse where OpenCV ignores it."""
    # Of a PNG, Pillow would read all pixels in search of it.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken EXIF, which OpenCV passes over
        return 1
    turn = turn if isinstance(turn, int) and 1 < turn <= 8 else 1
    return INVERSE.get(turn, turn) if image.format == "WEBP" else turn


def decode(content: bytes, flag: str = "color", backend: str | None = None) -> np.ndarray | None:
    """Pixels of an image file as mmcv reads it; None if it cannot."""
    try:
        return mmcv.imfrombytes(content, flag=flag, backend=backend)
    except Exception:
        return None
