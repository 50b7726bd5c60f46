"""What is wrong with annotations, and what is left of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from numbers import Real
from typing import Any

from mmsmlp.checkpoints import few
from mmsmlp.errors import DataError

from .annotations import Annotations, named_categories, repeated
from .images import Images
from .masks import fits, is_empty

# Masks are trained on if most of the objects have one.
MOST = 0.5
# Of the boxes, how many reach beyond their images if all are given by two corners.
MANY = 0.25

Entry = dict[str, Any]


@dataclass
class Checked:
    """Annotations that can be trained on.

    Attributes:
        data: The annotations.
        with_masks: Whether all objects have a mask.
        changed: Whether something was left out or mended.
        findings: What was found, a line each.
    """

    data: Annotations
    with_masks: bool
    changed: bool = False
    findings: list[str] = field(default_factory=list)

    def note(self, what: str, culprits: Iterable[Any], change: bool = True) -> None:
        """Add a finding, if there are any culprits.

        Args:
            what: The finding.
            culprits: Names of what it is about, or annotations.
            change: Whether it changes the data.
        """
        if culprits := list(culprits):
            names = few(
                f"id {culprit.get('id')}" if isinstance(culprit, dict) else culprit
                for culprit in culprits
            )
            self.findings.append(f"{what}: {len(culprits)} ({names})")
            self.changed |= change

    def leave_out(self, what: str, is_bad: Callable[[Entry], bool]) -> None:
        """Leave out annotations, and note how many."""
        kept, bad = [], []
        for entry in self.data["annotations"]:
            (bad if is_bad(entry) else kept).append(entry)
        self.data["annotations"] = kept
        self.note(f"left out: {what}", bad)


def check_annotations(
    data: Annotations, images: Images, classes: Sequence[str] | None = None
) -> Checked:
    """Find what mmdet would drop without a word or fail at, leave it out, and mend the rest.

    Args:
        data: Annotations, which stay as they are.
        images: The files of its images.
        classes: Names of those to use, in their order; all if None.

    Raises:
        DataError: If a class is not there, nothing is left, or all boxes mean something else than
            COCO's do.
    """
    data = dict(data, annotations=[dict(entry) for entry in data["annotations"]])
    checked = Checked(data, _has_masks(data["annotations"]))
    _check_ids(checked)
    if classes is not None:
        _choose_classes(checked, classes)
    _check_images(checked, images)
    sizes = {image["id"]: (image["width"], image["height"]) for image in data["images"]}
    _check_boxes(checked, sizes)
    if checked.with_masks:
        masks = "masks that are empty"
        checked.leave_out(masks, lambda entry: is_empty(entry.get("segmentation")))
        masks = "masks of another size than their image"
        checked.leave_out(masks, lambda e: not fits(e["segmentation"], sizes[e["image_id"]]))
    if not data["annotations"]:
        raise DataError("no box is left; " + "; ".join(checked.findings))
    _mend(checked)
    _note_what_is_empty(checked)
    return checked


def _has_masks(annotations: list[Entry]) -> bool:
    count = sum(not is_empty(entry.get("segmentation")) for entry in annotations)
    return count >= MOST * len(annotations)


def _check_ids(checked: Checked) -> None:
    data = checked.data
    categories = {category["id"] for category in data["categories"]}
    listed = {image["id"] for image in data["images"]}
    checked.leave_out("boxes of no known category", lambda e: e["category_id"] not in categories)
    checked.leave_out("boxes of no known image", lambda e: e["image_id"] not in listed)


def _choose_classes(checked: Checked, classes: Sequence[str]) -> None:
    data = checked.data
    categories = named_categories(data, classes)
    checked.changed |= categories != data["categories"]
    data["categories"] = categories
    ids = {category["id"] for category in categories}
    checked.leave_out("boxes of other classes", lambda e: e["category_id"] not in ids)


def _check_images(checked: Checked, images: Images) -> None:
    """Leave out images that cannot be read, with their boxes, and mend the sizes of others."""
    data = checked.data
    checked.note(f"left out: images that are not in {images.folder}", images.missing)
    checked.note("left out: images that cannot be read", images.broken)
    kept, resized = [], []
    for image in data["images"]:
        if (size := images.sizes.get(image["file_name"])) is None:
            continue
        if (image.get("width"), image.get("height")) != size:
            resized.append(f"{image['file_name']} is {size[0]}x{size[1]}")
        kept.append(dict(image, width=size[0], height=size[1]))
    checked.note("mended: sizes of images, which differ from what is annotated", resized)
    twice = repeated(image["file_name"] for image in kept)
    checked.note("images that are listed several times", twice, change=False)
    data["images"] = kept
    ids = {image["id"] for image in kept}
    data["annotations"] = [entry for entry in data["annotations"] if entry["image_id"] in ids]


def _check_boxes(checked: Checked, sizes: dict[int, tuple[int, int]]) -> None:
    def is_outside(entry: Entry) -> bool:
        (x, y, w, h), (width, height) = entry["bbox"], sizes[entry["image_id"]]
        return x >= width or y >= height or x + w <= 0 or y + h <= 0

    checked.leave_out("boxes that are not four numbers", lambda e: not _is_box(e["bbox"]))
    _check_meaning(checked.data["annotations"], sizes)
    checked.leave_out("boxes of negative width or height", lambda e: min(e["bbox"][2:]) < 0)
    checked.leave_out("boxes narrower than a pixel", lambda e: min(e["bbox"][2:]) < 1)
    checked.leave_out("boxes outside of their image", is_outside)


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(number, Real) and isfinite(number) for number in box)
    )


def _is_positive(number: Any) -> bool:
    return isinstance(number, Real) and number > 0


def _check_meaning(annotations: list[Entry], sizes: dict[int, tuple[int, int]]) -> None:
    """Refuse boxes that are, all of them, fractions of the image or two corners."""
    boxes = [(entry["bbox"], sizes[entry["image_id"]]) for entry in annotations]
    if boxes and all(0 <= number <= 1 for box, _ in boxes for number in box):
        raise DataError("the boxes are fractions of the image; COCO's are in pixels")
    beyond = sum(x + w > width + 1 or y + h > height + 1 for (x, y, w, h), (width, height) in boxes)
    are_corners = all(
        x < right <= width + 1 and y < bottom <= height + 1
        for (x, y, right, bottom), (width, height) in boxes
    )
    if beyond > MANY * len(boxes) and are_corners:
        raise DataError(
            f"the boxes are two corners, x1, y1, x2, y2 ({beyond} of {len(boxes)} would reach "
            "beyond their images otherwise); COCO's are x, y, width, height"
        )


def _mend(checked: Checked) -> None:
    """Give annotations what evaluation by COCO's rules asks of each."""
    annotations = checked.data["annotations"]
    without = [entry for entry in annotations if not _is_positive(entry.get("area"))]
    for entry in without:
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]
    checked.note("mended: no area, taken from the box", without)
    without = [entry for entry in annotations if "iscrowd" not in entry]
    for entry in without:
        entry["iscrowd"] = 0
    checked.note("mended: no iscrowd, taken as 0", without)
    # COCO's evaluation takes an object of id 0 for one that was not found.
    count = Counter(entry.get("id") for entry in annotations)
    unusable = [entry for entry in annotations if not entry.get("id") or count[entry["id"]] > 1]
    checked.note("mended: annotations whose id is 0, missing or taken twice", unusable)
    if unusable:
        for i, entry in enumerate(annotations, 1):
            entry["id"] = i


def boxes_of_classes(data: Annotations) -> dict[str, int]:
    """How many boxes there are of each class."""
    count = Counter(entry["category_id"] for entry in data["annotations"])
    return {category["name"]: count[category["id"]] for category in data["categories"]}


def _note_what_is_empty(checked: Checked) -> None:
    data = checked.data
    unused = [name for name, count in boxes_of_classes(data).items() if not count]
    checked.note("classes without a box", unused, change=False)
    used = {entry["image_id"] for entry in data["annotations"]}
    blank = [image["file_name"] for image in data["images"] if image["id"] not in used]
    checked.note("images without a box, which training skips", blank, change=False)
