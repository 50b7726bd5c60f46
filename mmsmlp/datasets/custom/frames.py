"""Frames of annotations: for which size and turn of the image they are, and in which form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmsmlp.errors import DataError

from .images import Size
from .masks import Mask, extent, move_mask, move_points, scaling, turning
from .report import Report

# Boxes may reach so far beyond their image, in pixels and of its side.
PIXELS, SHARE = 1.0, 0.01
# Median overlap of boxes with their masks if both are read rightly, and if perhaps.
SAME, LOOSE = 0.8, 0.5
# Boxes beyond their images from which on they may mean, or certainly mean, something else.
FEW, SOME, MANY = 3, 0.02, 0.25
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


@dataclass(eq=False)
class Object:
    """An annotation: its entry in the file, its class, its image, and its coordinates."""

    entry: dict[str, Any]
    label: str | None
    photo: Photo | None
    box: np.ndarray | None = None
    mask: Mask | None = None
    crowd: bool = False

    def __str__(self) -> str:
        return f"id {self.entry.get('id')}"


def other_frame(declared: Size | None, size: Size, turn: int) -> tuple[str, Size | None, Any]:
    """Where else than in an image its annotations could be.

    Args:
        declared: The size that they are said to be for.
        size: That of the image.
        turn: Its EXIF orientation.

    Returns:
        Why, the size of that frame, and the affine map to the image if there is one.
    """
    if turn >= 5 and declared in (None, size, size[::-1]):
        return "turned by EXIF", size[::-1], turning(turn, size[::-1])
    if declared is None or np.abs(np.subtract(declared, size)).max() <= 2:
        return "", size, scaling(declared or size, size)
    small, large = sorted([declared, size])
    factor = sum(large) / sum(small)
    if np.abs(np.multiply(small, factor) - large).max() <= factor:
        return "of another size than annotated", declared, scaling(declared, size)
    return "of another shape than annotated", declared, None


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


def settle_frames(objects: list[Object], photos: Iterable[Photo], report: Report) -> set[Photo]:
    """Move objects that are for another size or turn of their image, where that is certain.

    Returns:
        Images for which this is ambiguous.
    """
    frames = {photo: other_frame(photo.declared, photo.size, photo.turn) for photo in photos}
    groups: dict[str, list[Photo]] = defaultdict(list)
    for photo, (why, _, _) in frames.items():
        groups[why].append(photo)
    gone: set[Photo] = set()
    for why, group in groups.items():
        inside = [o for o in objects if frames[o.photo][0] == why]
        differ = [photo for photo in group if photo.declared != photo.size]
        is_other: bool | None = False
        if why and inside:
            others = np.array([frames[o.photo][1] for o in inside])
            is_other = _in_other_frame(*boxes_of(inside), others)
        if is_other is False:
            report.note(f"fixed: sizes of images {why}".rstrip(), differ)
        elif is_other and frames[group[0]][2] is not None:
            report.note(f"fixed: boxes and masks of images {why}, moved", inside)
            for o in inside:
                _, size, way = frames[o.photo]
                ends = move_points(np.stack([o.box[:2], o.box[:2] + o.box[2:]]), way)
                o.box = np.concatenate([ends.min(axis=0), np.ptp(ends, axis=0)])
                if isinstance(o.mask, list) or (o.mask and o.mask["size"] == [*size[::-1]]):
                    o.mask = move_mask(o.mask, way, o.photo.size)
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
    # All keep within the smaller one.
    return bool(factor < 1) if enough and max(factor, 1 / factor) >= CLEAR else None


def settle_form(objects: list[Object], fractions: bool, report: Report) -> None:
    """Find the format of boxes and mask points, and convert them to COCO's.

    Args:
        objects: Boxes and masks in pixels of their images.
        fractions: Whether boxes were fractions of their images.
        report: Takes the findings.

    Raises:
        DataError: If it is ambiguous.
    """
    polygons = [o for o in objects if isinstance(o.mask, list)]
    ends = [extent(o.mask) for o in polygons]
    if ends and np.min(ends) >= 0 and max((e[:2] + e[2:]).max() for e in ends) <= 1:
        for o in polygons:
            o.mask = move_mask(o.mask, scaling((1, 1), o.photo.size), o.photo.size)
        report.note("fixed: masks that are fractions of their image", polygons)
    if not objects:
        return
    boxes, sizes = boxes_of(objects)
    if all(o.mask for o in objects):
        extents = np.array([extent(o.mask) for o in objects])
        score = {name: np.median(iou(form(boxes), extents)) for name, form in FORMS.items()}
        plain, perhaps, sure = LOOSE, LOOSE, SAME
        what = "its masks are not where its boxes are: points are x, y, and runs go along columns"
    else:
        score = {name: fit(form(boxes), sizes).mean() for name, form in FORMS.items()}
        plain, perhaps, sure = 1 - max(FEW / len(boxes), SOME), 1 - MANY, 0.99
        what = "its boxes would reach beyond their images"
        if fractions:
            plain = perhaps = np.inf
            what = "its boxes are fractions of their images"
    likely = [name for name in FORMS if score[name] >= sure]
    if score[COCO_FORM] >= (perhaps if len(likely) != 1 else plain):
        return
    if len(likely) != 1:
        raise DataError(
            f"{what}; boxes could be {' or '.join(likely) or 'in no known form'}, and COCO's are "
            f"x, y, width, height in pixels, {score[COCO_FORM]:.0%} right here"
        )
    if likely != [COCO_FORM]:
        for o, box in zip(objects, FORMS[likely[0]](boxes), strict=True):
            o.box = box
        report.note(f"fixed: boxes given as {likely[0]}", objects)
