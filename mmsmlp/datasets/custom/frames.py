"""Frames of annotations: for which size and turn of the image they are, and in which form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmsmlp.errors import DataError

from .masks import Mask, extent, move_mask, move_points, scaling, turning
from .report import Report

Size = tuple[int, int]
# Boxes may reach so far beyond their image, in pixels and of its side.
PIXELS, SHARE = 1.0, 0.01
# Median overlap of boxes with their masks if both are read rightly, and if perhaps.
SAME, LOOSE = 0.8, 0.5
# Boxes beyond their images from which on they count as meaning something else.
FEW, MANY = 3, 0.25
# From so many boxes on, and such a factor, the smaller of two frames is theirs if they keep within.
ENOUGH, CLEAR = 5, 1.5
FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "x, y, width, height": lambda b: b,
    "two corners": lambda b: np.column_stack([b[:, :2], b[:, 2:] - b[:, :2]]),
    "centre, width, height": lambda b: np.column_stack([b[:, :2] - b[:, 2:] / 2, b[:, 2:]]),
}
COCO_FORM = next(iter(FORMS))


@dataclass(eq=False)
class Photo:
    """An image: its id, path, size and EXIF orientation, and the size that the file declares."""

    id: int | str
    declared: Size | None
    path: str
    size: Size
    turn: int

    def __str__(self) -> str:
        return self.path

    def other_frame(self) -> tuple[str, Size | None, np.ndarray | None]:
        """Where else annotations could be: why, the size, and the way back if there is one."""
        declared, actual = self.declared, self.size
        if self.turn >= 5 and declared in (None, actual, actual[::-1]):
            return "turned by EXIF", actual[::-1], turning(self.turn, actual[::-1])
        if declared is None or np.abs(np.subtract(declared, actual)).max() <= 2:
            return "", None, None
        if same_shape(declared, actual):
            return "of another size than annotated", declared, scaling(declared, actual)
        return "of another shape than annotated", declared, None


@dataclass(eq=False)
class Object:
    """An annotation: its entry in the file, its class, its image, and what is read of it."""

    entry: dict[str, Any]
    label: str | None
    photo: Photo | None
    box: np.ndarray | None = None
    mask: Mask | None = None
    crowd: bool = False
    moved: bool = False

    def __str__(self) -> str:
        return f"id {self.entry.get('id')}"

    def move(self, way: np.ndarray, frame: Size) -> None:
        """Move box and mask by an affine map, from a frame of a size to the image."""
        ends = move_points(np.stack([self.box[:2], self.box[:2] + self.box[2:]]), way)
        self.box, self.moved = np.concatenate([ends.min(axis=0), np.ptp(ends, axis=0)]), True
        if isinstance(self.mask, list) or (self.mask and self.mask["size"] == [*frame[::-1]]):
            self.mask = move_mask(self.mask, way, self.photo.size)


def same_shape(size: Size, other: Size) -> bool:
    """Whether one size is the other times a factor, but for rounding."""
    small, large = sorted([size, other])
    factor = sum(large) / sum(small)
    return bool(np.abs(np.multiply(small, factor) - large).max() <= factor)


def boxes_of(objects: Sequence[Object]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of x, y, width, height, ``(N, 4)``, and sizes of their images, ``(N, 2)``."""
    boxes = np.array([o.box for o in objects], float).reshape(-1, 4)
    return boxes, np.array([o.photo.size for o in objects], float).reshape(-1, 2)


def fit(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which boxes of x, y, width, height are within images of sizes ``(N, 2)``, or nearly so."""
    slack = PIXELS + SHARE * sizes
    inside = (boxes[:, :2] >= -slack) & (boxes[:, :2] + boxes[:, 2:] <= sizes + slack)
    return (inside & (boxes[:, 2:] >= 0)).all(axis=1)


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Overlap of boxes of x, y, width, height, ``(N, 4)``, pair by pair."""
    low = np.maximum(boxes[:, :2], others[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.abs(boxes[:, 2:].prod(axis=1)) + np.abs(others[:, 2:].prod(axis=1))
    return common / np.maximum(areas - common, 1e-9)


def settle_frames(objects: list[Object], photos: list[Photo], report: Report) -> set[Photo]:
    """Move objects that are for another size or turn of their image, where that is certain.

    Returns:
        Images of which nobody can tell.
    """
    photos_of: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        photos_of[photo.other_frame()[0]].append(photo)
    gone: set[Photo] = set()
    for why, group in photos_of.items():
        inside = [o for o in objects if o.photo.other_frame()[0] == why]
        frames = [o.photo.other_frame()[1:] for o in inside]
        differ = [photo for photo in group if photo.declared != photo.size]
        is_other: bool | None = False
        if why and inside:
            others = np.array([size for size, _ in frames])
            is_other = _in_other_frame(*boxes_of(inside), others)
        if is_other and frames[0][1] is not None:
            report.note(f"fixed: boxes and masks of images {why}, moved", inside)
            for o, (size, way) in zip(inside, frames, strict=True):
                o.move(way, size)
        elif is_other is False:
            report.note(f"fixed: sizes of images {why}".rstrip(), differ)
        else:
            reason = "are for the annotated size" if is_other else "do not tell which size is right"
            report.note(f"left out: images {why}, whose boxes {reason}", differ)
            gone.update(differ)
    return gone


def _in_other_frame(boxes: np.ndarray, actual: np.ndarray, others: np.ndarray) -> bool | None:
    """Whether boxes are in the other of two frames of sizes ``(N, 2)``; None: they do not tell."""
    in_others, in_actual = fit(boxes, others), fit(boxes, actual)
    other, image = int((in_others & ~in_actual).sum()), int((in_actual & ~in_others).sum())
    if other != image and min(other, image) <= 0.05 * max(other, image):
        return other > image
    factor = np.median(np.prod(others / actual, axis=1)) ** 0.5
    enough = not other and not image and (in_others & in_actual).sum() >= ENOUGH
    if enough and max(factor, 1 / factor) >= CLEAR:
        return bool(factor < 1)  # all keep within the smaller one
    return None


def settle_form(objects: list[Object], fractions: bool, report: Report) -> None:
    """Find out what the numbers of boxes and the points of masks are, and make them COCO's.

    Args:
        objects: Boxes and masks in pixels of their images.
        fractions: Whether boxes were fractions of their images.
        report: Takes the findings.

    Raises:
        DataError: If nobody can tell.
    """
    if not objects:
        return
    polygons = [o for o in objects if isinstance(o.mask, list)]
    ends = [(min(p.min() for p in o.mask), max(p.max() for p in o.mask)) for o in polygons]
    if ends and np.min(ends) >= 0 and np.max(ends) <= 1:
        for o in polygons:
            o.mask = move_mask(o.mask, scaling((1, 1), o.photo.size), o.photo.size)
        report.note("fixed: masks that are fractions of their image", polygons)
    boxes, sizes = boxes_of(objects)
    if all(o.mask for o in objects):
        extents = np.array([extent(o.mask) for o in objects]).reshape(-1, 4)
        form = _by_masks(boxes, extents)
    else:
        form = _by_images(boxes, sizes, fractions)
    if form != COCO_FORM:
        for o, box in zip(objects, FORMS[form](boxes), strict=True):
            o.box, o.moved = box, True
        report.note(f"fixed: boxes given as {form}", objects)


def _by_masks(boxes: np.ndarray, extents: np.ndarray) -> str:
    """The form of boxes in which they fit their masks."""
    overlap = {name: np.median(iou(form(boxes), extents)) for name, form in FORMS.items()}
    if overlap[COCO_FORM] >= LOOSE:
        return COCO_FORM
    best = max(overlap, key=overlap.get)
    if overlap[best] < SAME:
        raise DataError(
            f"its masks are not where its boxes are: their median overlap (IoU) is "
            f"{overlap[COCO_FORM]:.2f}; points are x, y, and runs of pixels go along columns"
        )
    return best


def _by_images(boxes: np.ndarray, sizes: np.ndarray, fractions: bool) -> str:
    """The form in which boxes fit into their images."""
    share = {name: fit(form(boxes), sizes).mean() for name, form in FORMS.items()}
    beyond = round((1 - share[COCO_FORM]) * len(boxes))
    likely = [name for name in FORMS if share[name] >= 0.99]
    if not fractions and beyond < max(FEW, 0.02 * len(boxes)):
        return COCO_FORM
    if len(likely) == 1:
        return likely[0]
    if not fractions and beyond < MANY * len(boxes):
        return COCO_FORM
    what = "fractions of the image" if fractions else "not x, y, width, height in pixels"
    reason = f"could be {' or '.join(likely)}" if likely else "fit their images in no known form"
    raise DataError(
        f"the boxes are {what} ({beyond} of {len(boxes)} would reach beyond their images) and "
        f"{reason}; COCO's are x, y, width, height in pixels"
    )
