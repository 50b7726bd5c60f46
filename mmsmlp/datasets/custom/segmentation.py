"""A folder of images and one of masks of labels, for semantic segmentation."""

from __future__ import annotations

import io
import os
from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmsmlp.errors import DataError

from .frames import same_shape
from .images import ImageFile, decode, files_of, read_images
from .masks import move_pixels, scaling, turning
from .report import Report, is_plain_line, read_all

IGNORED = 255
MOST_CLASSES = 200


@dataclass
class Segmentation:
    """Images with masks that can be trained on.

    Attributes:
        images: Folder of the images.
        masks: Folder of the masks.
        pairs: Paths of masks within it, by those of images.
        classes: Names, in the order of labels.
        values: What masks hold for each class: labels, or colours as ``0xRRGGBB``.
        colours: Whether masks hold colours.
        sizes: Width and height of the images.
        ways: Affine maps from masks to their images, where these differ.
        suffix: What follows the name of an image, and of its mask, if all are alike.
        changed: Whether masks have to be written anew.
        report: What was found.
    """

    images: Path
    masks: Path
    pairs: dict[str, str]
    classes: list[str] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    colours: bool = False
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    ways: dict[str, np.ndarray] = field(default_factory=dict)
    suffix: tuple[str, str] | None = None
    changed: bool = False
    report: Report = field(default_factory=Report)

    def write(self, name: str, folder: Path) -> None:
        """Write the mask of an image, a map of labels in training's numbers."""
        array = _values((self.masks / self.pairs[name]).read_bytes(), self.colours)[0]
        if name in self.ways:
            array = move_pixels(array, self.ways[name], self.sizes[name])
        labels = np.full(array.shape, IGNORED, np.uint8)
        for label, value in enumerate(self.values):
            labels[array == value] = label
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(path)


class MaskLook(NamedTuple):
    """What a mask holds.

    Attributes:
        size: Width and height.
        values: Its different labels, or colours as ``0xRRGGBB``.
        channels: Number of channels.
        palette: The palette.
        is_coloured: Whether channels differ.
    """

    size: tuple[int, int]
    values: list[int]
    channels: int
    palette: bytes
    is_coloured: bool


def look_at_mask(path: Path, colours: bool = False) -> MaskLook | None:
    """Read a mask as mmseg does; None if it cannot."""
    try:
        content = path.read_bytes()
        array, is_coloured = _values(content, colours)
        with Image.open(io.BytesIO(content)) as image:
            palette = bytes(image.getpalette() or b"") if image.mode == "P" else b""
            channels = len(image.getbands())
    except Exception:
        return None
    return MaskLook(array.shape[::-1], np.unique(array).tolist(), channels, palette, is_coloured)


def _values(content: bytes, colours: bool) -> tuple[np.ndarray, bool]:
    """Labels or colours of a mask, ``(H, W)``, and whether its channels differ."""
    if colours:
        with Image.open(io.BytesIO(content)) as image:
            rgb = np.asarray(image.convert("RGB")).astype(np.int64)
        return rgb @ [1 << 16, 1 << 8, 1], True
    array = np.atleast_3d(decode(content, "unchanged", "pillow"))
    rgb = array[..., :3] if array.shape[2] > 2 else array[..., :1]
    return array[..., 0].astype(np.int64), bool((rgb != rgb[..., :1]).any())


def read_masks(
    images: Path,
    masks: Path,
    classes: list[str] | None = None,
    like: Segmentation | None = None,
) -> Segmentation:
    """Read images and masks to their end, and find what mmseg would fail at or learn wrongly.

    Args:
        images: Folder of the images.
        masks: Folder of the masks, whose names begin as those of their images.
        classes: Names in the order of labels.
        like: The training set, whose classes and labels count.

    Raises:
        DataError: If nothing can be trained on.
    """
    names, mask_names = files_of(images), files_of(masks)
    data = Segmentation(images, masks, _pairs(names, mask_names))
    report, pairs = data.report, data.pairs
    if not pairs:
        raise DataError(
            f"no mask in {masks} is called like an image in {images}; the first are "
            f"{(mask_names or ['nothing'])[0]} and {(names or ['nothing'])[0]}"
        )
    unused = sorted(set(mask_names) - set(pairs.values()))
    report.note("left out: masks without an image", unused)
    left_out = {
        "images without a mask": lambda name: name not in pairs,
        "names that no list can hold": lambda name: not is_plain_line(name),
    }
    names = report.keep(names, left_out)
    files = read_images(images, names, report) if names else {}

    def look_at_all(colours: bool) -> dict[str, MaskLook | None]:
        read = read_all(
            lambda n: look_at_mask(masks / pairs[n], colours), list(files), f"masks of {masks}"
        )
        return dict(zip(files, read, strict=True))

    looks = look_at_all(bool(like and like.colours))
    palettes = {look.palette for look in looks.values() if look and look.palette}
    differ = len({palette[: min(map(len, palettes))] for palette in palettes}) > 1
    data.colours = differ or any(look and look.is_coloured for look in looks.values())
    if like:
        data.colours, data.values, data.classes = like.colours, like.values, like.classes
    elif data.colours:
        looks = look_at_all(True)
    good = report.keep(files, {"masks that cannot be read": lambda name: looks[name] is None})
    _fit_sizes(data, {name: files[name] for name in good}, looks)
    data.pairs = {name: pairs[name] for name in data.sizes}
    if not data.pairs:
        raise report.error("no image with a mask is left")
    looks = {name: looks[name] for name in data.sizes}
    if not like:
        _choose_labels(data, looks, classes)
    seen = Counter(value for look in looks.values() for value in look.values)
    void = {IGNORED} - set(data.values) if not data.colours else set()
    ignored = [name for name, look in looks.items() if void & set(look.values)]
    report.note(f"masks with the label {IGNORED}, which is not learnt", ignored)
    beyond = sorted(seen.keys() - set(data.values) - void)
    report.note("fixed: labels beyond the classes, which are not learnt", beyond)
    lacking = [n for n, value in zip(data.classes, data.values, strict=True) if not seen[value]]
    report.note("classes without a pixel", lacking)
    stems = {name: os.path.splitext(name)[0] for name in data.pairs}
    tails = {(name[len(s) :], data.pairs[name].removeprefix(s)) for name, s in stems.items()}
    data.suffix = tails.pop() if len(tails) == 1 else None
    numbered = data.values != list(range(len(data.values)))
    many = any(look.channels > 1 for look in looks.values())
    data.changed = bool(data.colours or numbered or beyond or many or data.ways or not data.suffix)
    return data


def _pairs(images: list[str], masks: list[str]) -> dict[str, str]:
    """Masks by images: of the same name, but for the suffix and for an end that all have."""
    stems = {os.path.splitext(name)[0]: name for name in reversed(masks)}
    bare = {name: os.path.splitext(name)[0] for name in images}
    ends = zip(*(stem[::-1] for stem in bare.values()), strict=False)
    tail = "".join(c[0] for c in takewhile(lambda c: len(set(c)) == 1, ends))
    for end in dict.fromkeys(["", tail[::-1]]):
        starts = {name: stem.removesuffix(end) for name, stem in bare.items()}
        known, rests = set(starts.values()), Counter()
        for stem in stems:
            cuts = (n for n in range(len(stem), 0, -1) if stem[:n] in known)
            rests.update(stem[n:] for n in [*cuts][:1])
        for rest in ["", *(rest for rest, _ in rests.most_common(1))]:
            if pairs := {n: stems[s + rest] for n, s in starts.items() if s + rest in stems}:
                return pairs
    return {}


def _fit_sizes(
    data: Segmentation, files: dict[str, ImageFile], looks: dict[str, MaskLook | None]
) -> None:
    """Find how masks get to their images where that is certain; leave out others."""
    stored, resized, others = [], [], []
    for name, file in files.items():
        size = looks[name].size
        data.sizes[name] = file.size
        if size == file.size:
            continue
        if file.turn >= 5 and size == file.size[::-1]:
            stored.append(name)
            data.ways[name] = turning(file.turn, size)
        elif same_shape(size, file.size):
            resized.append(name)
            data.ways[name] = scaling(size, file.size)
        else:
            (w, h), (width, height) = size, data.sizes.pop(name)
            others.append(f"{data.pairs[name]} is {w}x{h}, {name} {width}x{height}")
    data.report.note("fixed: masks for an image as it is stored, turned as EXIF says", stored)
    data.report.note("fixed: masks of another size than their image, resized", resized)
    data.report.note("left out: masks of another shape than their image", others)


def _choose_labels(
    data: Segmentation, looks: dict[str, MaskLook], classes: list[str] | None
) -> None:
    """Find out what masks hold, and name the classes."""
    found = sorted({value for look in looks.values() for value in look.values})
    if len(found) > MOST_CLASSES:
        raise DataError(
            f"its masks hold {len(found)} {'colours' if data.colours else 'labels'}; maps of up to "
            f"{MOST_CLASSES} labels are needed, in a format that keeps them, such as PNG"
        )
    labels = [value for value in found if value != IGNORED] or [0]
    gaps = max(found) > IGNORED or max(labels) > 3 * len(labels) + 20 or found == [0, IGNORED]
    if data.colours or gaps:
        data.values = found
    else:
        data.values = list(range(len(classes) if classes else max(labels) + 1))
    names = [f"#{v:06x}" if data.colours else f"class {v}" for v in data.values]
    if data.colours or gaps:
        what = "colours" if data.colours else "labels with gaps"
        data.report.note(f"fixed: {what}, numbered in this order", names)
    if classes and len(classes) != len(names):
        raise DataError(f"its masks hold {len(names)} labels, and --classes names {len(classes)}")
    data.classes = list(classes or names)
