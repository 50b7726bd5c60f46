"""A folder of images and one of masks of labels, for semantic segmentation."""

from __future__ import annotations

import io
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from mmsmlp.errors import DataError

from .frames import Frame, same_shape
from .images import decode, files_of, read_images
from .report import Report, is_plain_line

IGNORED = 255
MOST_CLASSES = 200


@dataclass
class Segmentation:
    """Images with masks that can be trained on.

    Attributes:
        images: Folder of the images.
        masks: Folder of the masks.
        pairs: Paths of masks within it, by those of images.
        sizes: Width and height of the images.
        classes: Names, in the order of labels.
        labels: What masks hold for each class: labels, or colours as ``0xRRGGBB``.
        colours: Whether masks hold colours.
        fixes: How to get from a mask to its image, where that differs.
        suffix: What follows the name of an image, and of its mask, if all are alike.
        changed: Whether masks have to be written anew.
        report: What was found.
    """

    images: Path
    masks: Path
    pairs: dict[str, str]
    classes: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    colours: bool = False
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    fixes: dict[str, Frame] = field(default_factory=dict)
    suffix: tuple[str, str] | None = None
    changed: bool = False
    report: Report = field(default_factory=Report)

    def write(self, name: str, folder: Path) -> None:
        """Write the mask of an image, a map of labels in training's numbers."""
        content = (self.masks / self.pairs[name]).read_bytes()
        array, _ = _values(content, self.colours)
        if name in self.fixes:
            array = self.fixes[name].pixels(array)
        order = np.argsort(self.labels)
        found = np.searchsorted(self.labels, array, sorter=order).clip(max=len(order) - 1)
        labels = np.where(np.take(self.labels, order[found]) == array, order[found], IGNORED)
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels.astype(np.uint8)).save(path)


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
    pairs, data_report = _pairs(files_of(images), files_of(masks)), Report()
    data = Segmentation(images, masks, pairs, report=data_report)
    names = files_of(images)
    if not pairs:
        first = (names or ["nothing"])[0], (files_of(masks) or ["nothing"])[0]
        raise DataError(
            f"no mask in {masks} is called like an image in {images}; the first are "
            f"{first[1]} and {first[0]}"
        )
    report = data.report
    report.note("left out: images without a mask", [name for name in names if name not in pairs])
    unused = sorted(set(files_of(masks)) - set(pairs.values()))
    report.note("left out: masks without an image", unused)
    odd = [name for name in pairs if not is_plain_line(name)]
    report.note("left out: names that no list can hold", odd)
    if len(odd) == len(pairs):
        raise report.error("no image with a mask is left")
    files = read_images(images, [name for name in pairs if name not in odd])
    files.note(report)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(lambda n: look_at_mask(masks / pairs[n]), files.paths)
        bar = track(read, f"masks of {masks}", len(files.paths), console=Console(stderr=True))
        looks = dict(zip(files.paths, bar, strict=True))
    broken = [pairs[name] for name, look in looks.items() if look is None]
    report.note("left out: masks that cannot be read", broken)
    looks = {name: look for name, look in looks.items() if look is not None}
    data.sizes = {name: files.sizes[name] for name in looks}
    _fit_sizes(data, {n: look.size for n, look in looks.items()}, files.turns)
    looks = {name: looks[name] for name in data.sizes}
    data.pairs = {name: pairs[name] for name in data.sizes}
    if not looks:
        raise report.error("no image with a mask is left")
    if like:
        data.colours, data.labels, data.classes = like.colours, like.labels, like.classes
    else:
        _choose_labels(data, looks, classes)
    _note_labels(data, looks)
    tails = {
        (Path(n).suffix, m.removeprefix(n[: -len(Path(n).suffix)])) for n, m in data.pairs.items()
    }
    is_index = not data.colours and data.labels == list(range(len(data.labels)))
    data.changed |= not is_index or any(look.channels > 1 for look in looks.values())
    data.suffix = tails.pop() if len(tails) == 1 else None
    data.changed |= data.suffix is None
    return data


def _pairs(images: list[str], masks: list[str]) -> dict[str, str]:
    """Masks by images: of the same name, but for the suffix and for an end that all have."""
    stems = {os.path.splitext(name)[0]: name for name in reversed(masks)}
    ends = [os.path.splitext(name)[0][::-1] for name in images]
    tail = "".join(c for c, *_ in takewhile(lambda c: len(set(c)) == 1, zip(*ends, strict=False)))
    for end in dict.fromkeys(["", tail[::-1]]):
        starts = {name: os.path.splitext(name)[0].removesuffix(end) for name in images}
        rests: Counter[str] = Counter()
        known = set(starts.values())
        for stem in stems:
            for length in range(len(stem), 0, -1):
                if stem[:length] in known:
                    rests[stem[length:]] += 1
                    break
        for rest, _ in sorted(rests.items(), key=lambda item: (item[0] != "", -item[1])):
            pairs = {n: stems[s + rest] for n, s in starts.items() if s + rest in stems}
            if len(pairs) >= max(rests.values()) or rest == "":
                return pairs
    return {}


@dataclass(frozen=True)
class MaskLook:
    """What a mask holds.

    Attributes:
        size: Width and height.
        labels: Its different labels: values of the first channel.
        colours: Its different colours as ``0xRRGGBB``, if its channels differ or it has a palette.
        palette: The palette.
        channels: Number of channels.
        is_coloured: Whether they differ.
    """

    size: tuple[int, int]
    labels: np.ndarray
    colours: np.ndarray
    palette: bytes
    channels: int
    is_coloured: bool

    def values(self, colours: bool) -> list[int]:
        """Colours or labels."""
        return (self.colours if colours else self.labels).tolist()


def look_at_mask(path: Path) -> MaskLook | None:
    """Read a mask as mmseg does; None if it cannot."""
    try:
        content = path.read_bytes()
        index, differ = _values(content, False)
        with Image.open(io.BytesIO(content)) as image:
            palette = bytes(image.getpalette() or b"") if image.mode == "P" else b""
            channels = len(image.getbands())
        colours = _values(content, True)[0] if palette or differ else index[:0]
    except Exception:
        return None
    labels = np.flatnonzero(np.bincount(index.ravel())) if index.max() < 2**16 else np.unique(index)
    return MaskLook(index.shape[::-1], labels, np.unique(colours), palette, channels, differ)


def _values(content: bytes, colours: bool) -> tuple[np.ndarray, bool]:
    """Labels or colours of a mask, ``(H, W)``, and whether its channels differ."""
    array = decode(content, "unchanged", "pillow")
    if array is None:
        raise DataError("it cannot be read")
    array = array.squeeze() if array.ndim > 2 else array
    if array.ndim == 2 and not colours:
        return array.astype(np.int64), False
    if array.ndim == 2 or array.shape[2] < 3:
        with Image.open(io.BytesIO(content)) as image:
            rgb = np.asarray(image.convert("RGB"))
    else:
        rgb = array[..., 2::-1]  # mmcv gives it as OpenCV does
    differ = bool((rgb != rgb[..., :1]).any())
    rgb = rgb.astype(np.int64)
    return (rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]) if colours else rgb[..., 0], differ


def _fit_sizes(
    data: Segmentation, sizes: dict[str, tuple[int, int]], turns: dict[str, int]
) -> None:
    """Turn or resize masks to their images where that is certain; leave out others."""
    stored, resized, others = [], [], []
    for name, size in sizes.items():
        image = data.sizes[name]
        if size == image:
            continue
        if turns[name] >= 5 and size == image[::-1]:
            stored.append(name)
            data.fixes[name] = Frame(size, image, turns[name])
        elif same_shape(size, image):
            resized.append(name)
            data.fixes[name] = Frame(size, image)
        else:
            others.append(
                f"{data.pairs[name]} is {size[0]}x{size[1]}, {name} {image[0]}x{image[1]}"
            )
            del data.sizes[name]
    data.report.note("fixed: masks for an image as it is stored, turned as EXIF says", stored)
    data.report.note("fixed: masks of another size than their image, resized", resized)
    data.report.note("left out: masks of another shape than their image", others)
    data.changed |= bool(stored or resized)
    turned_images = [n for n in data.sizes if turns[n] > 1 and n not in data.fixes]
    what = "images that EXIF turns; masks count for them as they are shown"
    data.report.note(what, turned_images)


def _choose_labels(
    data: Segmentation, looks: dict[str, MaskLook], classes: list[str] | None
) -> None:
    """Find out what masks hold, and name the classes."""
    palettes = {look.palette for look in looks.values() if look.palette}
    data.colours = any(look.is_coloured for look in looks.values())
    if len(palettes) > 1:
        length = min(map(len, palettes))
        data.colours |= len({palette[:length] for palette in palettes}) > 1
    found = sorted({v for look in looks.values() for v in look.values(data.colours)})
    if len(found) > MOST_CLASSES:
        what = "colours" if data.colours else "labels"
        raise DataError(
            f"its masks hold {len(found)} {what}; maps of up to {MOST_CLASSES} labels are needed, "
            "in a format that keeps them, such as PNG"
        )
    labels = [value for value in found if value != IGNORED] or [0]
    if data.colours:
        data.labels, names = found, [f"#{value:06x}" for value in found]
        data.report.note("fixed: colours taken as labels, in this order", names)
    elif found == [0, IGNORED]:
        data.labels, names = [0, IGNORED], ["background", "object"]
        data.report.note("fixed: masks of 0 and 255, 255 taken as label 1", data.pairs)
    elif max(found) > IGNORED or max(labels) > 3 * len(labels) + 20:
        data.labels, names = found, [f"label {value}" for value in found]
        data.report.note("fixed: labels with large gaps, numbered in this order", found)
    else:
        data.labels = list(range(max(labels) + 1))
        names = [f"class {value}" for value in data.labels]
    if classes is not None:
        is_index = not data.colours and data.labels == list(range(len(data.labels)))
        if is_index:
            data.labels = list(range(len(classes)))
        elif len(data.labels) != len(classes):
            raise DataError(
                f"its masks hold {len(data.labels)} labels, and --classes names {len(classes)}"
            )
        data.labels, names = data.labels[: len(classes)], classes
    data.classes = list(names)


def _note_labels(data: Segmentation, looks: dict[str, MaskLook]) -> None:
    beyond, ignored, count = Counter(), [], Counter()
    for name, look in looks.items():
        values = set(look.values(data.colours))
        if IGNORED in values and IGNORED not in data.labels:
            ignored.append(name)
        count.update(values)
        beyond.update(values - set(data.labels) - (set() if data.colours else {IGNORED}))
    data.report.note(f"masks with the label {IGNORED}, which is not learnt", ignored)
    data.report.note("fixed: labels beyond the classes, which are not learnt", sorted(beyond))
    data.changed |= bool(beyond)
    lacking = [n for n, v in zip(data.classes, data.labels, strict=True) if not count[v]]
    data.report.note("classes without a pixel", lacking)
