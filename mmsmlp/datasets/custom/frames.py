"""Frames of annotations: for which size and turn of the image they are, and in which form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmsmlp.errors import DataError

from .report import Table, number

Size = tuple[int, int]
# Boxes may reach so far beyond their image, in pixels and of its side.
PIXELS, SHARE = 1.0, 0.01
# Median overlap of boxes with their masks if both are read rightly, and if perhaps.
SAME, LOOSE = 0.8, 0.5
# Boxes beyond their images from which on they count as meaning something else.
FEW, MANY = 3, 0.25
# From so many boxes on, and such a factor, the smaller of two frames is theirs if they keep within.
ENOUGH, CLEAR = 5, 1.5


def corners(boxes: np.ndarray) -> np.ndarray:
    """x, y, width, height of boxes of two corners, ``(N, 4)``."""
    return np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "x, y, width, height": lambda b: b,
    "two corners": corners,
    "centre, width, height": lambda b: np.column_stack([b[:, :2] - b[:, 2:] / 2, b[:, 2:]]),
}
COCO_FORM = next(iter(FORMS))


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
    areas = np.abs(boxes[:, 2] * boxes[:, 3]) + np.abs(others[:, 2] * others[:, 3])
    return common / np.maximum(areas - common, 1e-9)


@dataclass(frozen=True)
class Frame:
    """Where the annotations of an image are, and how to get them to the image of training.

    Args:
        size: Width and height of the frame.
        target: Those of the image.
        turn: EXIF orientation by which the frame becomes the image.
    """

    size: Size
    target: Size
    turn: int = 1

    @property
    def leads_back(self) -> bool:
        """Whether it is known how to get to the image."""
        return self.turn > 1 or self.size != self.target

    def points(self, points: np.ndarray) -> np.ndarray:
        """Move points, ``(N, 2)``."""
        (width, height), (x, y) = self.size, points.T
        turned = {
            **{2: (width - x, y), 3: (width - x, height - y), 4: (x, height - y), 5: (y, x)},
            **{6: (height - y, x), 7: (height - y, width - x), 8: (y, width - x)},
        }
        if self.turn in turned:
            return np.column_stack(turned[self.turn])
        return points * (np.array(self.target) / self.size)

    def pixels(self, array: np.ndarray) -> np.ndarray:
        """Move an array of labels, ``(H, W)``."""
        if self.turn > 1:
            return turned(array, self.turn)
        rows, columns = (
            np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(int)
            for old, new in zip(self.size[::-1], self.target[::-1], strict=True)
        )
        return array[rows][:, columns]

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Move boxes of x, y, width, height, ``(N, 4)``."""
        first, second = self.points(boxes[:, :2]), self.points(boxes[:, :2] + boxes[:, 2:])
        low = np.minimum(first, second)
        return np.column_stack([low, np.maximum(first, second) - low])


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array ``(H, W)`` as EXIF's orientation says to show it."""
    return {
        **{1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud},
        **{5: np.transpose, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T},
        **{8: np.rot90},
    }[orientation](array)


def settle_frames(objects: Table, images: Table) -> None:
    """Move objects that are for another size or turn of their image, where that is certain.

    Sets ``images.gone`` where it is not, and leaves these objects out.
    """
    fractions = len(objects) > 0 and objects.box.min() >= 0 and objects.box.max() <= 1
    objects.fraction = np.full(len(objects), fractions)
    if fractions:
        objects.box *= np.tile(images.size[objects.image], 2)
        objects.moved[:] = True
        objects.note("fixed: boxes that are fractions of their image", objects.fraction)
    groups, frames = defaultdict(list), {}
    for row, declared in enumerate(images.declared):
        kind, frames[row] = _other_frame(declared, tuple(images.size[row]), images.turn[row])
        groups[kind].append(row)
    for kind, rows in groups.items():
        if kind:
            _settle(kind, rows, frames, objects, images)
    objects.leave_out("", images.gone[objects.image])
    if images.gone.all():
        raise objects.report.error("no image is left")


def _other_frame(declared: Size | None, actual: Size, turn: int) -> tuple[str, Frame | None]:
    """Where else the annotations of an image could be; no frame if nobody knows the way back."""
    if turn >= 5 and declared in (None, actual, actual[::-1]):
        return "turned by EXIF", Frame(actual[::-1], actual, turn)
    if declared in (None, actual):
        return "turned or mirrored by EXIF" if turn > 1 else "without a size" * (not declared), None
    if np.abs(np.subtract(declared, actual)).max() <= 2:
        return "of nearly the annotated size", None
    if same_shape(declared, actual):
        return "of another size than annotated", Frame(declared, actual)
    return "of another shape than annotated", Frame(declared, declared)


def same_shape(size: Size, other: Size) -> bool:
    """Whether one size is the other times a factor, but for rounding."""
    small, large = sorted([size, other])
    factor = sum(large) / sum(small)
    return bool(np.abs(np.multiply(small, factor) - large).max() <= factor)


def _settle(
    kind: str, rows: list[int], frames: dict[int, Frame | None], objects: Table, images: Table
) -> None:
    """Decide for a group of images, by where their boxes fit."""
    group = np.isin(np.arange(len(images)), rows)
    differ = np.array([d != tuple(s) for d, s in zip(images.declared, images.size, strict=True)])
    mine = group[objects.image]
    is_other: bool | None = False
    if frames[rows[0]] and mine.any() and not objects.fraction.any():
        others = np.array([frames[row].size for row in objects.image[mine]])
        is_other = _in_other_frame(objects.box[mine], others, images.size[objects.image[mine]])
    if is_other and all(frames[row].leads_back for row in rows):
        objects.note(f"fixed: boxes and masks of images {kind}, moved", mine)
        for i in np.flatnonzero(mine):
            frame, mask = frames[objects.image[i]], objects.mask[i]
            objects.box[i] = frame.boxes(objects.box[i : i + 1])[0]
            if mask is not None and (mask.runs is None or mask.fills(frame.size)):
                objects.mask[i] = mask.moved(frame.points, frame.pixels, frame.size)
        objects.moved |= mine
        return
    if is_other is False:
        images.note(f"fixed: sizes of images {kind}", group & differ)
    else:
        reason = "are for the annotated size" if is_other else "do not tell which size is right"
        images.note(f"left out: images {kind}, whose boxes {reason}", group & differ)
        images.gone |= group & differ
    if "EXIF" in kind and (is_other is None or not frames[rows[0]]):
        what = f"images {kind}; boxes count for them as they are shown"
        images.note(what, group & ~differ & ~images.gone)


def _in_other_frame(boxes: np.ndarray, others: np.ndarray, actual: np.ndarray) -> bool | None:
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


def settle_form(objects: Table, sizes: np.ndarray) -> None:
    """Find out what the numbers of boxes and the points of masks are, and make them COCO's.

    Args:
        objects: Boxes and masks in pixels of their images.
        sizes: Width and height of these, ``(N, 2)``.

    Raises:
        DataError: If nobody can tell.
    """
    if not len(objects):
        return
    polygons = np.array([m is not None and m.runs is None for m in objects.mask], bool)
    points = [p for mask in objects.mask[polygons] for p in mask.polygons]
    if points and min(p.min() for p in points) >= 0 and max(p.max() for p in points) <= 1:
        for i in np.flatnonzero(polygons):
            frame = Frame((1, 1), tuple(sizes[i]))
            objects.mask[i] = objects.mask[i].moved(frame.points, frame.pixels, (1, 1))
        objects.note("fixed: masks that are fractions of their image", polygons)
    has_mask = objects.mask.astype(bool)
    form = _by_masks(objects, sizes) if has_mask.all() else _by_boxes(objects, sizes)
    if form != COCO_FORM:
        objects.box = FORMS[form](objects.box)
        objects.moved[:] = True
        objects.note(f"fixed: boxes given as {form}", objects.moved)


def _by_masks(objects: Table, sizes: np.ndarray) -> str:
    """The form of boxes in which they fit their masks; turns masks that have axes swapped."""
    extents = {
        swapped: np.array(
            [m.extent(tuple(s), swapped) for m, s in zip(objects.mask, sizes.tolist(), strict=True)]
        )
        for swapped in (False, True)
    }
    runs = np.array([mask.runs is not None for mask in objects.mask])
    kinds = [kind for kind in (runs, ~runs) if kind.any()]

    def best(form: str) -> list[tuple[float, bool]]:
        """Median overlap of each kind of mask, and whether it is with axes swapped."""
        boxes = FORMS[form](objects.box)
        overlap = {swapped: iou(boxes, corners(extents[swapped])) for swapped in extents}
        return [max((np.median(overlap[s][kind]), not s) for s in overlap) for kind in kinds]

    plain = iou(objects.box, corners(extents[False]))
    least = min(np.median(plain[kind]) for kind in kinds)
    if least >= LOOSE:
        return COCO_FORM
    form = max(FORMS, key=lambda form: min(best(form)))
    if min(best(form))[0] < SAME:
        raise DataError(
            f"its masks are not where its boxes are: their median overlap (IoU) is {least:.2f}, "
            f"and no other reading of both reaches {SAME}"
        )
    for kind, (_, straight) in zip(kinds, best(form), strict=True):
        if not straight:
            for i in np.flatnonzero(kind):
                swap = (lambda p: p[:, ::-1], lambda a: a, tuple(sizes[i].tolist()))
                objects.mask[i] = objects.mask[i].moved(*swap, along_rows=True)
            what = "runs of pixels along rows" if kind is runs else "points as y, x"
            objects.note(f"fixed: masks of {what}", kind)
    return form


def _by_boxes(objects: Table, sizes: np.ndarray) -> str:
    """The form in which boxes fit into their images."""
    boxes, fractions = objects.box, objects.fraction.any()
    inside = {name: fit(form(boxes), sizes) for name, form in FORMS.items()}
    beyond = int((~inside[COCO_FORM]).sum())
    if not fractions and beyond < max(2, 0.02 * len(boxes)):
        return COCO_FORM
    likely = [name for name, good in inside.items() if good.mean() >= 0.99]
    areas = np.array([number(entry.get("area")) or np.nan for entry in objects.source])
    by_corners = np.isclose(corners(boxes)[:, 2:].prod(axis=1), areas, rtol=0.02).mean() > 0.9
    by_sides = np.isclose(boxes[:, 2:].prod(axis=1), areas, rtol=0.02).mean() > 0.9
    if by_corners != by_sides:
        likely = [name for name in likely if (name == "two corners") == by_corners]
    many = beyond >= MANY * len(boxes)
    if len(likely) == 1 and (fractions or beyond >= FEW or many):
        return likely[0]
    if not fractions and not many:
        return COCO_FORM
    what = "fractions of the image" if fractions else "not x, y, width, height in pixels"
    reason = f"could be {' or '.join(likely)}" if likely else "fit their images in no known form"
    raise DataError(
        f"the boxes are {what} ({beyond} of {len(boxes)} would reach beyond their images) and "
        f"{reason}; COCO's are x, y, width, height in pixels"
    )
