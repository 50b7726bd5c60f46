"""Annotations in COCO's format: converted if they are unambiguous, otherwise left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmsmlp.errors import DataError, shorten

from .frames import Object, Photo, boxes_of, fit, iou, settle_form, settle_frames
from .images import MOST_PIXELS, read_images
from .masks import area, extent, read_mask, written
from .report import Report, flag, key, numbers

Entry = dict[str, Any]
LISTS = ("images", "annotations", "categories")
# Masks are trained on if most of the objects have one.
MOST = 0.5
# Of the overlap of a box with its mask: below, they are of two objects.
ELSEWHERE = 0.1
LARGEST_ID = 2**31
MIN_SIDE = 32  # of images; mmdet's recipes skip smaller ones
UNSEEN = "which are neither learnt nor counted"


@dataclass
class Coco:
    """Annotations that can be trained on: COCO's lists, and findings."""

    images: list[Entry]
    annotations: list[Entry]
    categories: list[Entry]
    with_masks: bool
    report: Report

    @property
    def boxes(self) -> dict[str, int]:
        """Number of objects to learn, by class."""
        count = Counter(e["category_id"] for e in self.annotations if not e["iscrowd"])
        return {category["name"]: count[category["id"]] for category in self.categories}

    def part(self, names: set[str]) -> Coco:
        """The annotations of some images alone."""
        images = [image for image in self.images if image["file_name"] in names]
        ids = {image["id"] for image in images}
        entries = [entry for entry in self.annotations if entry["image_id"] in ids]
        return Coco(images, entries, self.categories, self.with_masks, Report())

    def text(self) -> str:
        """The annotations as json."""
        return json.dumps({name: getattr(self, name) for name in LISTS})


def read_coco(
    path: Path, folder: Path, classes: Sequence[str] | None = None, like: Coco | None = None
) -> Coco:
    """Read annotations, and find those that mmdet would drop silently or fail at.

    Args:
        path: The file.
        folder: Of its images.
        classes: Names of those to use, in their order; all if None.
        like: The training set, whose classes count.

    Raises:
        DataError: If nothing can be trained on, or coordinates are ambiguous.
    """
    report = Report()
    lists = _read_json(path, report)
    names = _classes(lists["categories"], report)
    there = list(dict.fromkeys(names.values()))
    chosen = list(like.boxes if like else classes or there)
    missing = [name for name in chosen if name not in there]
    if missing and (not like or missing == chosen):
        raise DataError(f"it has no class {missing[0]!r}; it has {shorten(there, 10)}")
    report.note("classes of training that it does not have", missing)
    photos = _photos(lists["images"], folder, report)
    objects = [
        Object(e, names.get(key(e.get("category_id"))), photos.get(key(e.get("image_id"))))
        for e in lists["annotations"]
    ]
    left_out = {
        "boxes of no known category": lambda o: o.label is None,
        "boxes of no image that can be read": lambda o: o.photo is None,
        "boxes of other classes": lambda o: o.label not in chosen,
    }
    objects = _with_shapes(report.keep(objects, left_out), report)
    objects, with_masks = _masks_of_most(objects, report)
    fractions = bool(objects) and all(o.box.min() >= 0 and o.box.max() <= 1 for o in objects)
    if fractions:
        for o in objects:
            o.box = o.box * (*o.photo.size, *o.photo.size)
        report.note("fixed: boxes that are fractions of their image", objects)
    gone = settle_frames(objects, dict.fromkeys(photos.values()), report)
    objects = [o for o in objects if o.photo not in gone]
    settle_form(objects, fractions, report)
    objects = _read_flags(_usable(objects, report), report)
    if not objects:
        raise report.error("no box is left")
    kept = [photo for photo in dict.fromkeys(photos.values()) if photo not in gone]
    data = _written(objects, kept, chosen, with_masks, report)
    report.note("classes without an object", [n for n, count in data.boxes.items() if not count])
    learnt = {o.photo for o in objects if not o.crowd}
    empty = [photo for photo in kept if photo not in learnt]
    report.note("images without an object, which training skips", empty)
    small = [photo for photo in kept if min(photo.size) < MIN_SIDE]
    what = f"images below {MIN_SIDE} pixels, which mmdet skips unless min_size is set, as here"
    report.note(what, small)
    return data


def _read_json(path: Path, report: Report) -> dict[str, list[Entry]]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else error
        raise DataError(f"it cannot be read: {reason}") from error
    lists = {}
    for name in LISTS:
        entries = data.get(name) if isinstance(data, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"it is not in COCO's format, which has a list {name!r}")
        if not entries:
            raise DataError(f"its list {name!r} is empty")
        odd = {f"{name} that are no JSON objects": lambda entry: not isinstance(entry, dict)}
        lists[name] = report.keep(entries, odd)
    return lists


def _classes(entries: list[Entry], report: Report) -> dict[int | str, str]:
    """Names of classes by ids of categories."""
    names: dict[int | str, str] = {}
    unusable = []
    for entry in entries:
        id, name = key(entry.get("id")), entry.get("name")
        name = name if isinstance(name, str) or key(name) is None else str(key(name))
        if id is None or not isinstance(name, str) or not name.strip():
            unusable.append(entry)
        elif names.setdefault(id, name) != name:
            raise DataError(f"several categories have the same id: {id}")
    report.note("left out: categories without a usable id or name", unusable)
    twice = [name for name, times in Counter(names.values()).items() if times > 1]
    report.note("fixed: categories of the same name, taken as one", twice)
    if not names:
        raise report.error("no category has an id and a name")
    return names


def _photos(entries: list[Entry], folder: Path, report: Report) -> dict[int | str, Photo]:
    """Images that can be read, by their ids."""
    listed: dict[int | str, Entry] = {}
    unusable, twice = [], []
    for entry in entries:
        id, name = key(entry.get("id")), entry.get("file_name")
        if id is None or not isinstance(name, str) or not name:
            unusable.append(entry)
        elif listed.setdefault(id, entry)["file_name"] != name:
            raise DataError(f"several images have the same id: {id}")
    report.note("left out: images without a usable id or file_name", unusable)
    if not listed:
        raise report.error("no image has an id and a file_name")
    files = read_images(folder, [entry["file_name"] for entry in listed.values()], report)
    if not files:
        raise report.error("no image is left")
    by_path: dict[str, Photo] = {}
    photos: dict[int | str, Photo] = {}
    for id, entry in listed.items():
        if file := files.get(entry["file_name"]):
            size = numbers([entry.get("width"), entry.get("height")])
            good = size and min(size) >= 1 and size[0] * size[1] <= MOST_PIXELS
            photo = Photo(id, (int(size[0]), int(size[1])) if good else None, *file)
            photos[id] = by_path.setdefault(file.path, photo)
            twice += [] if photos[id] is photo else [photo]
    report.note("fixed: images that are listed several times, joined", twice)
    return photos


def _with_shapes(objects: list[Object], report: Report) -> list[Object]:
    """Read boxes and masks, the latter for the size that the file gives, or else the image's.

    Raises:
        DataError: If most objects have a mask that cannot be read.
    """
    faults: dict[Object, str] = {}
    other_form, without = [], []
    for o in objects:
        for size in filter(None, (o.photo.declared, o.photo.size)):
            try:
                o.mask, is_plain = read_mask(o.entry.get("segmentation"), size)
                other_form += [] if is_plain else [o]
                faults.pop(o, None)
                break
            except ValueError as error:
                faults.setdefault(o, str(error))
        box = o.entry.get("bbox")
        if box in (None, []) and o.mask:
            o.box = extent(o.mask)
            without.append(o)
        elif (box := numbers(box)) and len(box) == 4:
            o.box = np.array(box)
    report.note("fixed: no box, taken from the mask", without)
    objects = report.keep(objects, {"boxes that are not four numbers": lambda o: o.box is None})
    if len(faults) > MOST * len(objects):
        o, fault = next(iter(faults.items()))
        raise report.error(
            f"its masks cannot be read: {len(faults)} of {len(objects)}, such as that of {o}: "
            f"{fault}; to train on boxes, take 'segmentation' out"
        )
    for fault in sorted(set(faults.values())):
        bad = [o for o in objects if faults.get(o) == fault]
        report.note(f"masks that cannot be read ({fault})", bad)
    report.note("fixed: masks in another form than COCO's", other_form)
    return objects


def _masks_of_most(objects: list[Object], report: Report) -> tuple[list[Object], bool]:
    """Objects that all have a mask, if most have; otherwise none."""
    has_mask = [o for o in objects if o.mask]
    if len(has_mask) >= max(1, MOST * len(objects)):
        return report.keep(objects, {"objects without a mask": lambda o: not o.mask}), True
    report.note("masks that are not used, for most objects have none", has_mask)
    for o in has_mask:
        o.mask = None
    return objects, False


def _usable(objects: list[Object], report: Report) -> list[Object]:
    """Objects that can be learnt."""
    for o in objects:
        if isinstance(o.mask, dict):  # may have been read for a size that is not the image's
            o.mask = dict(o.mask, size=[*o.photo.size[::-1]])
    boxes, sizes = boxes_of(objects)
    extents = [extent(o.mask) if o.mask else o.box for o in objects]
    overlap = dict(zip(objects, iou(boxes, np.reshape(extents, (-1, 4))), strict=True))

    def is_outside(o: Object) -> bool:
        return bool((o.box[:2] >= o.photo.size).any() or (o.box[:2] + o.box[2:] <= 0).any())

    def is_far(o: Object) -> bool:
        polygons = o.mask if isinstance(o.mask, list) else []
        points = np.concatenate([[o.box[:2], o.box[:2] + o.box[2:]], *polygons])
        return bool((np.abs(points / o.photo.size - 0.5) > 1.5).any())

    left_out = {
        "boxes of negative width or height": lambda o: o.box[2:].min() < 0,
        "boxes narrower than a pixel": lambda o: o.box[2:].min() < 1,
        "boxes outside of their image": is_outside,
        "boxes or masks that reach far beyond their image": is_far,
        "masks elsewhere than their box": lambda o: overlap[o] < ELSEWHERE,
    }
    inside = dict(zip(objects, fit(boxes, sizes), strict=True))
    objects = report.keep(objects, left_out)
    report.note("boxes that reach beyond their image", [o for o in objects if not inside[o]])
    return objects


def _read_flags(objects: list[Object], report: Report) -> list[Object]:
    """Read which objects are crowds, and drop duplicates."""
    for o in objects:
        o.crowd = flag(o.entry.get("iscrowd"))
    no_flag = [o for o in objects if o.entry.get("iscrowd") is None]
    report.note("fixed: no iscrowd, taken as 0", no_flag)
    odd = [o for o in objects if o.crowd is None]
    report.note("fixed: iscrowd that is neither 0 nor 1, taken as 0", odd)
    crowds = [o for o in objects if o.crowd]
    if are_objects := len(crowds) > MOST * len(objects):
        what = f"fixed: iscrowd taken as 0, for most of the {len(objects)} objects are crowds"
    else:
        what = "objects that are crowds"
    report.note(f"{what}, {UNSEEN}", crowds)
    for o in objects:
        o.crowd = bool(o.crowd) and not are_objects
    ignored = [o for o in objects if flag(o.entry.get("ignore")) and not o.crowd]
    what = "fixed: objects marked `ignore`, which mmdet drops and its evaluation counts"
    report.note(f"{what}, made crowds, {UNSEEN}", ignored)
    for o in ignored:
        o.crowd = True
    seen: set[Any] = set()

    def is_twice(o: Object) -> bool:
        mask = o.mask["counts"] if isinstance(o.mask, dict) else str(written(o.mask or []))
        what = (o.photo, o.label, *o.box.round(), mask)
        return what in seen or bool(seen.add(what))

    return report.keep(objects, {"objects that are annotated twice": is_twice})


def _written(
    objects: list[Object], photos: list[Photo], classes: list[str], with_masks: bool, report: Report
) -> Coco:
    """Annotations as mmdet and pycocotools take them."""
    keep = all(type(p.id) is int and 0 <= p.id < LARGEST_ID for p in photos)
    ids = {photo: photo.id if keep else i for i, photo in enumerate(photos)}
    images = [
        dict(id=id, file_name=photo.path, width=photo.size[0], height=photo.size[1])
        for photo, id in ids.items()
    ]
    # COCO's evaluation takes an object of id 0 for one that was not found.
    bad = [o for o in objects if type(id := o.entry.get("id")) is not int or id < 1]
    report.note("fixed: annotations whose id is no number from 1 on", bad)
    annotations = [
        dict(
            id=i,
            image_id=ids[o.photo],
            category_id=classes.index(o.label) + 1,
            bbox=o.box.round(3).tolist(),
            area=(area(o.mask, o.photo.size) if o.mask else 0) or float(o.box[2:].prod()),
            iscrowd=int(o.crowd),
            **(dict(segmentation=written(o.mask)) if o.mask else {}),
        )
        for i, o in enumerate(objects, 1)
    ]
    categories = [dict(id=id, name=name) for id, name in enumerate(classes, 1)]
    return Coco(images, annotations, categories, with_masks, report)
