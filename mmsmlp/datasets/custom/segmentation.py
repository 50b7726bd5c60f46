"""A folder of images and one of masks of labels, for semantic segmentation."""

from __future__ import annotations

import io
import os
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmsmlp.errors import DataError

from .frames import other_frame
from .images import Size, decode, files_of, read_images
from .masks import move_pixels
from .report import Report, is_plain_line, read_all

IGNORED = 255
MOST_CLASSES = 200


class MaskLook(NamedTuple):
    """Contents of a mask.

    Attributes:
        size: Width and height.
        values: Its different labels, or colours as ``0xRRGGBB``.
        channels: Number of channels.
        is_coloured: Whether they differ.
        palette: The palette.
    """

    size: Size
    values: list[int]
    channels: int
    is_coloured: bool
    palette: bytes


@dataclass
class Segmentation:
    """Images with masks that can be trained on.

    Attributes:
        images: Folder of the images.
        masks: Folder of the masks.
        pairs: Paths of masks within it, by those of images.
        sizes: Width and height of the images.
        ways: Affine maps from masks to their images, where these differ.
        values: Mask value of each class: labels, or colours as ``0xRRGGBB``.
        classes: Names of these.
        colours: Whether masks hold colours.
        report: The findings.
    """

    images: Path
    masks: Path
    pairs: dict[str, str]
    sizes: dict[str, Size] = field(default_factory=dict)
    ways: dict[str, np.ndarray] = field(default_factory=dict)
    values: list[int] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    colours: bool = False
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
    return MaskLook(array.shape[::-1], np.unique(array).tolist(), channels, is_coloured, palette)


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
    images: Path, masks: Path, classes: list[str] | None = None, like: Segmentation | None = None
) -> Segmentation:
    """Read images and masks completely, and find those that mmseg would fail at or learn wrongly.

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
        what = f"masks of {masks}"
        read = read_all(lambda name: look_at_mask(masks / pairs[name], colours), list(files), what)
        return dict(zip(files, read, strict=True))

    looks = look_at_all(like.colours if like else False)
    if not like:
        palettes = {look.palette for look in looks.values() if look and look.palette}
        differ = len({palette[: min(map(len, palettes))] for palette in palettes}) > 1
        data.colours = differ or any(look and look.is_coloured for look in looks.values())
        looks = look_at_all(True) if data.colours else looks
    names = report.keep(files, {"masks that cannot be read": lambda name: looks[name] is None})
    for name in names:
        data.sizes[name] = files[name].size
        if looks[name].size != data.sizes[name]:
            data.ways[name] = other_frame(looks[name].size, *files[name][1:])[2]
    odd = {"masks of another shape than their image": lambda n: data.ways.get(n, 0) is None}
    names = report.keep(names, odd)
    moved = [name for name in names if name in data.ways]
    report.note("fixed: masks of another size or EXIF rotation than their image, moved", moved)
    if not names:
        raise report.error("no image with a mask is left")
    data.pairs, data.sizes = ({name: of[name] for name in names} for of in (pairs, data.sizes))
    seen = Counter(value for name in names for value in looks[name].values)
    if like:
        data.colours, data.values, data.classes = like.colours, like.values, like.classes
    else:
        _choose_labels(data, sorted(seen), classes)
    void = set() if data.colours or IGNORED in data.values else {IGNORED}
    ignored = [name for name in names if void & set(looks[name].values)]
    report.note(f"masks with the label {IGNORED}, which is not learnt", ignored)
    beyond = sorted(seen.keys() - set(data.values) - void)
    report.note("fixed: labels beyond the classes, which are not learnt", beyond)
    lacking = [name for name, v in zip(data.classes, data.values, strict=True) if not seen[v]]
    report.note("classes without a pixel", lacking)
    return data


def _pairs(images: list[str], masks: list[str]) -> dict[str, str]:
    """Masks by images: of the same name, except for a suffix that all images or most masks have."""
    stems = {os.path.splitext(name)[0]: name for name in reversed(masks)}
    names = {name: os.path.splitext(name)[0] for name in images}
    ends_first = [name[::-1] for name in names.values()]
    shared = os.path.commonprefix(ends_first)[::-1]  # noqa: RUF071, of characters
    for end_of_images in ("", shared):  # such as _leftImg8bit
        starts = {image: name.removesuffix(end_of_images) for image, name in names.items()}
        known, ends = set(starts.values()), Counter()
        for stem in stems:
            cuts = (n for n in range(len(stem), 0, -1) if stem[:n] in known)
            ends.update(stem[n:] for n in islice(cuts, 1))
        if ends:
            end = max(ends, key=lambda end: (ends[end], end == ""))
            return {image: stems[s + end] for image, s in starts.items() if s + end in stems}
    return {}


def _choose_labels(data: Segmentation, found: list[int], classes: list[str] | None) -> None:
    """Find the meaning of mask values, and name the classes."""
    what = "colours" if data.colours else "labels"
    if len(found) > MOST_CLASSES:
        raise DataError(
            f"its masks hold {len(found)} {what}; maps of up to {MOST_CLASSES} labels are needed, "
            "in a format that keeps them, such as PNG"
        )
    labels = [value for value in found if value != IGNORED] or [0]
    has_gaps = max(found) > IGNORED or max(labels) > 3 * len(labels) + 20 or found == [0, IGNORED]
    if data.colours or has_gaps:
        data.values = found
        names = [f"#{v:06x}" if data.colours else f"class {v}" for v in found]
        data.report.note(f"fixed: {what}, numbered in this order", names)
    else:
        data.values = list(range(len(classes or ()) or max(labels) + 1))
        names = [f"class {value}" for value in data.values]
    if classes and len(classes) != len(names):
        raise DataError(f"its masks hold {len(names)} {what}, and --classes names {len(classes)}")
    data.classes = list(classes or names)
