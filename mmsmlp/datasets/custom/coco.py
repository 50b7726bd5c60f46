"""Annotations in COCO's format: converted where they mean one thing, otherwise left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from mmsmlp.checkpoints import few
from mmsmlp.errors import DataError

from .frames import corners, fit, iou, settle_form, settle_frames
from .images import read_images
from .masks import Mask, read_mask
from .report import Report, Table, flag, key, number, numbers

Entry = dict[str, Any]
LISTS = ("images", "annotations", "categories")
# Masks are trained on if most of the objects have one.
MOST = 0.5
# Of the overlap of a box with its mask: below, they are of two objects; below, it is worth a line.
ELSEWHERE, LOOSE = 0.1, 0.5
LARGEST_ID = 2**31
MIN_SIDE = 32  # of images; mmdet's recipes skip smaller ones


@dataclass
class Coco:
    """Annotations that can be trained on.

    Attributes:
        images: ``id``, ``file_name``, ``width`` and ``height`` of each.
        annotations: ``id``, ``image_id``, ``category_id``, ``bbox``, ``area``, ``iscrowd`` and,
            with masks, ``segmentation``.
        categories: ``id`` and ``name``.
        with_masks: Whether all objects have a mask.
        report: What was found.
        changed: Whether this differs from the file.
    """

    images: list[Entry]
    annotations: list[Entry]
    categories: list[Entry]
    with_masks: bool
    report: Report
    changed: bool = True

    @property
    def boxes(self) -> dict[str, int]:
        """How many objects there are to learn, by class."""
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
    """Read annotations, and find what mmdet would drop without a word or fail at.

    Args:
        path: The file.
        folder: Of its images.
        classes: Names of those to use, in their order; all if None.
        like: The training set, whose classes count.

    Raises:
        DataError: If nothing can be trained on, or nobody can tell where the objects are.
    """
    report = Report()
    source = _read_json(path)
    lists = {name: _entries(name, source[name], report) for name in LISTS}
    names = _categories(lists, report)
    chosen = list(like.boxes) if like else list(classes or names.values())
    _check_named(chosen, names.values(), like is not None, report)
    images, rows = _images(lists["images"], folder, report)
    objects = _objects(lists["annotations"], names, chosen, rows, report)
    _read_shapes(objects, images, str(path))
    with_masks = _use_masks(objects)
    settle_frames(objects, images)
    settle_form(objects, images.size[objects.image])
    _leave_out_unusable(objects, images.size[objects.image], with_masks)
    _read_flags(objects)
    if not len(objects):
        raise report.error("no box is left")
    data = _written(objects, images, names, chosen, with_masks)
    is_plain = path.read_bytes()[:1] == b"{"
    data.changed = not is_plain or any(_differ(getattr(data, n), source[n]) for n in LISTS)
    return data


def _read_json(path: Path) -> dict[str, list]:
    try:
        content = path.read_bytes()
        try:
            data = json.loads(content)
        except UnicodeDecodeError:
            data = json.loads(content.decode("cp1252"))
    except (OSError, ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else error
        raise DataError(f"it cannot be read: {reason}") from error
    for name in LISTS:
        entries = data.get(name) if isinstance(data, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"it is not in COCO's format, which has a list {name!r}")
        if not entries:
            raise DataError(f"its list {name!r} is empty")
    return data


def _entries(name: str, entries: list[Any], report: Report) -> list[Entry]:
    report.note(
        f"left out: {name} that are no JSON objects",
        (f"{name}[{i}]" for i, entry in enumerate(entries) if not isinstance(entry, dict)),
    )
    return [entry for entry in entries if isinstance(entry, dict)]


def _categories(lists: dict[str, list[Entry]], report: Report) -> dict[int | str, str]:
    """Names of categories by their ids."""
    used = Counter(key(entry.get("category_id")) for entry in lists["annotations"])
    names: dict[int | str, str] = {}
    unusable, unused = [], []
    for place, entry in enumerate(lists["categories"]):
        id, name = key(entry.get("id")), entry.get("name")
        name = name if isinstance(name, str) or key(name) is None else str(key(name))
        if id is None or not isinstance(name, str) or not name.strip():
            unusable.append(f"categories[{place}]")
        elif names.setdefault(id, name) != name:
            raise DataError(f"several categories have the same id: {id}")
    for name in {name for name, times in Counter(names.values()).items() if times > 1}:
        ids = [id for id in names if names[id] == name]
        keep = [id for id in ids if used[id]] or ids[:1]
        if len(keep) > 1:
            raise DataError(f"several categories have the same name: {name}")
        unused += [f"{name}, id {id}" for id in ids if id not in keep]
        names = {id: names[id] for id in names if id not in ids or id in keep}
    report.note("left out: categories without a usable id or name", unusable)
    report.note("left out: unused categories of the name of another", unused)
    if not names:
        raise report.error("no category has an id and a name")
    return names


def _check_named(chosen: list[str], there: Sequence[str], some: bool, report: Report) -> None:
    """Check that classes are there, all or some of them."""
    missing = [name for name in chosen if name not in there]
    if some and len(missing) < len(chosen):
        report.note("classes of training that it does not have", missing)
    elif missing:
        close = get_close_matches(missing[0], there)
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {few(there, 10)}"
        raise DataError(f"it has no class {missing[0]!r}; {hint}")


def _images(
    entries: list[Entry], folder: Path, report: Report
) -> tuple[Table, dict[int | str, int | None]]:
    """Images that can be read, and the row of each id; None if there is no such file."""
    listed: dict[int | str, Entry] = {}
    unusable = []
    for place, entry in enumerate(entries):
        id, name = key(entry.get("id")), entry.get("file_name")
        if id is None or not isinstance(name, str) or not name:
            unusable.append(f"images[{place}]")
        elif listed.setdefault(id, entry)["file_name"] != name:
            raise DataError(f"several images have the same id: {id}")
    report.note("left out: images without a usable id or file_name", unusable)
    if not listed:
        raise report.error("no image has an id and a file_name")
    files = read_images(folder, [entry["file_name"] for entry in listed.values()])
    files.note(report)
    first: dict[str, int | str] = {}
    for id, entry in listed.items():
        if entry["file_name"] in files.paths:
            first.setdefault(files.paths[entry["file_name"]], id)
    if not first:
        raise report.error("no image is left")
    chosen = [listed[id] for id in first.values()]
    images = Table(report, first, key=first.values(), declared=map(_size, chosen))
    images.size = np.array([files.sizes[entry["file_name"]] for entry in chosen])
    images.turn = np.array([files.turns[entry["file_name"]] for entry in chosen])
    images.gone = np.zeros(len(images), bool)
    row_of = {path: row for row, path in enumerate(first)}
    rows = {id: row_of.get(files.paths.get(e["file_name"])) for id, e in listed.items()}
    twice = [e["file_name"] for id, e in listed.items() if rows[id] is not None]
    report.note(
        "fixed: images that are listed several times, joined",
        (name for name, times in Counter(twice).items() if times > 1),
    )
    return images, rows


def _size(entry: Entry) -> tuple[int, int] | None:
    size = numbers([entry.get("width"), entry.get("height")])
    return (int(size[0]), int(size[1])) if size and min(size) >= 1 else None


def _objects(
    entries: list[Entry],
    names: dict[int | str, str],
    chosen: list[str],
    rows: dict[int | str, int | None],
    report: Report,
) -> Table:
    """Annotations of images that can be read, and of the classes that count."""
    image = [key(entry.get("image_id")) for entry in entries]
    ids = (f"id {entry.get('id', f'of annotations[{i}]')}" for i, entry in enumerate(entries))
    objects = Table(report, ids, source=entries, image=image)
    objects.category = np.fromiter((key(entry.get("category_id")) for entry in entries), object)
    objects.leave_out("boxes of no known category", [c not in names for c in objects.category])
    objects.leave_out("boxes of no known image", [i not in rows for i in objects.image])
    others = [names[category] not in chosen for category in objects.category]
    objects.leave_out("boxes of other classes", others)
    place = np.array([-1 if rows[i] is None else rows[i] for i in objects.image], int)
    objects.image = place
    objects.leave_out("", place < 0)  # there is a line about the file
    return objects


def _read_shapes(objects: Table, images: Table, name: str) -> None:
    """Read boxes and masks, the latter for the size that the file gives, or else the image's."""
    boxes, masks, faults = [], [], []
    for entry, row in zip(
        track(objects.source, f"objects of {name}", console=Console(stderr=True), transient=True),
        objects.image,
        strict=True,
    ):
        mask, fault = None, ""
        sizes = [images.declared[row], tuple(images.size[row].tolist())]
        for size in sizes if sizes[0] else sizes[1:]:
            try:
                mask, fault = read_mask(entry.get("segmentation"), size), ""
                break
            except ValueError as error:
                fault = fault or str(error)
        box = numbers(entry.get("bbox"))
        if mask is not None and entry.get("bbox") in (None, []):
            box = corners(np.array([mask.extent(size)], float))[0].tolist()
        masks.append(mask)
        faults.append(fault)
        boxes.append(box if box and len(box) == 4 else [np.nan] * 4)
    objects.box = np.array(boxes, float).reshape(-1, 4)
    objects.mask, objects.fault = np.fromiter(masks, object), np.array(faults, str)
    objects.moved = np.zeros(len(objects), bool)
    without = np.array([e.get("bbox") in (None, []) for e in objects.source], bool)
    objects.note("fixed: no box, taken from the mask", without & ~np.isnan(objects.box[:, 0]))
    objects.leave_out("boxes that are not four numbers", np.isnan(objects.box[:, 0]))


def _use_masks(objects: Table) -> bool:
    """Whether most objects have a mask.

    Raises:
        DataError: If most have one that cannot be read.
    """
    bad, has_mask = objects.fault != "", np.array([m is not None for m in objects.mask], bool)
    if bad.sum() > MOST * len(objects):
        raise objects.report.error(
            f"its masks cannot be read: {bad.sum()} of {len(objects)}, such as that of "
            f"{objects.id[bad][0]}: {objects.fault[bad][0]}; to train on boxes, take "
            "'segmentation' out"
        )
    for fault in sorted(set(objects.fault[bad])):
        objects.note(f"masks that cannot be read ({fault})", objects.fault == fault)
    objects.note(
        "fixed: masks in another form than COCO's",
        np.array([m is not None and m.source is None for m in objects.mask], bool),
    )
    if has_mask.sum() >= max(1, MOST * len(objects)):
        objects.leave_out("objects without a mask", ~has_mask)
        return True
    objects.note("masks that are not used, for most objects have none", has_mask)
    objects.mask[:] = None
    return False


def _leave_out_unusable(objects: Table, sizes: np.ndarray, with_masks: bool) -> None:
    """Leave out objects that cannot be learnt, and note those that are doubtful."""
    low, high = objects.box[:, :2], objects.box[:, :2] + objects.box[:, 2:]
    points = [np.array([*pair]) for pair in zip(low, high, strict=True)]
    for row, mask in enumerate(objects.mask if with_masks else ()):
        points[row] = np.concatenate([points[row], *mask.polygons])
    far = [(np.abs(p / size - 0.5) > 1.5).any() for p, size in zip(points, sizes, strict=True)]
    extents = corners(_extents(objects, sizes)) if with_masks else objects.box
    overlap = iou(objects.box, extents)
    reasons = {
        "boxes of negative width or height": (objects.box[:, 2:] < 0).any(axis=1),
        "boxes narrower than a pixel": (objects.box[:, 2:] < 1).any(axis=1),
        "boxes outside of their image": ((low >= sizes) | (high <= 0)).any(axis=1),
        "boxes or masks that reach far beyond their image": np.array(far, bool),
        "masks elsewhere than their box": overlap < ELSEWHERE,
    }
    objects.overlap, objects.inside = overlap, fit(objects.box, sizes)
    objects.fault = np.full(len(objects), "", object)
    for what, rows in reversed(reasons.items()):
        objects.fault[rows] = what
    for what in reasons:
        objects.leave_out(what, objects.fault == what)
    objects.note("masks of another extent than their box", objects.overlap < LOOSE)
    objects.note("boxes that reach beyond their image", ~objects.inside)


def _extents(objects: Table, sizes: np.ndarray) -> np.ndarray:
    found = [m.extent(size) for m, size in zip(objects.mask, sizes.tolist(), strict=True)]
    return np.array(found, float).reshape(-1, 4)


def _read_flags(objects: Table) -> None:
    """Read which objects are crowds, and leave out those that are there twice."""
    values = [entry.get("iscrowd") for entry in objects.source]
    flags = [flag(value) for value in values]
    objects.crowd = np.array([bool(f) for f in flags], bool)
    objects.note("fixed: no iscrowd, taken as 0", np.array([v is None for v in values], bool))
    unknown = np.array([f is None for f in flags], bool)
    objects.note("fixed: iscrowd that is neither 0 nor 1, taken as 0", unknown)
    nothing = "which are neither learnt nor counted"
    if objects.crowd.sum() > MOST * len(objects):
        what = f"fixed: iscrowd taken as 0, for most of the {len(objects)} objects are crowds"
        objects.note(f"{what}, {nothing}", objects.crowd)
        objects.crowd[:] = False
    objects.note(f"objects that are crowds, {nothing}", objects.crowd)
    ignored = [bool(flag(entry.get("ignore"))) for entry in objects.source]
    ignored = np.array(ignored, bool) & ~objects.crowd
    what = "fixed: objects marked `ignore`, which mmdet drops and its evaluation counts"
    objects.note(f"{what}, made crowds, {nothing}", ignored)
    objects.crowd |= ignored
    seen: set[Any] = set()
    twice = []
    for row, box in enumerate(objects.box.round()):
        what = (objects.image[row], objects.category[row], *box, _shape(objects.mask[row]))
        twice.append(what in seen)
        seen.add(what)
    objects.leave_out("objects that are annotated twice", np.array(twice, bool))


def _shape(mask: Mask | None) -> bytes:
    """What tells one mask from another."""
    if mask is None or mask.runs is not None:
        return b"" if mask is None else mask.runs.tobytes()
    return np.concatenate(mask.polygons).round().tobytes()


def _written(
    objects: Table, images: Table, names: dict[int | str, str], chosen: list[str], with_masks: bool
) -> Coco:
    """The annotations as mmdet and pycocotools take them."""
    report = objects.report
    kept = np.flatnonzero(~images.gone)
    image_ids = dict(zip(kept, _whole_numbers(images.key[kept], "images", report), strict=True))
    by_name = {name: id for id, name in names.items()}
    complete = all(name in by_name for name in chosen)
    ids = [by_name[name] for name in chosen] if complete else range(1, len(chosen) + 1)
    categories = dict(zip(chosen, _whole_numbers(list(ids), "categories", report), strict=True))
    own = [entry.get("id") for entry in objects.source]
    is_id = [type(id) is int and 0 < id < LARGEST_ID for id in own]
    count = Counter(id for id, good in zip(own, is_id, strict=True) if good)
    # COCO's evaluation takes an object of id 0 for one that was not found.
    bad = [not good or count[id] > 1 for id, good in zip(own, is_id, strict=True)]
    objects.note(
        "fixed: annotations whose id is 0, missing, no number or taken twice", np.array(bad, bool)
    )
    annotations, without = [], []
    for row, (entry, image) in enumerate(zip(objects.source, objects.image, strict=True)):
        size, mask, box = tuple(images.size[image].tolist()), objects.mask[row], objects.box[row]
        area = number(entry.get("area"))
        without.append(area is None or area <= 0)
        if without[-1] or objects.moved[row]:
            area = (mask.area(size) if with_masks else 0) or float(box[2:].prod())
        annotations.append(
            dict(
                id=row + 1 if any(bad) else own[row],
                image_id=image_ids[image],
                category_id=categories[names[objects.category[row]]],
                bbox=box.round(3).tolist(),
                area=area,
                iscrowd=int(objects.crowd[row]),
                **(dict(segmentation=mask.written(size)) if with_masks else {}),
            )
        )
    objects.note("fixed: no area, taken from the mask or the box", np.array(without, bool))
    written = [
        dict(id=image_ids[i], file_name=images.id[i], width=int(width), height=int(height))
        for i, (width, height) in zip(kept, images.size[kept], strict=True)
    ]
    listed = [dict(id=id, name=name) for name, id in categories.items()]
    data = Coco(written, annotations, listed, with_masks, report)
    report.note("classes without an object", (n for n, count in data.boxes.items() if not count))
    learnt = {entry["image_id"] for entry in annotations if not entry["iscrowd"]}
    empty = (image["file_name"] for image in written if image["id"] not in learnt)
    report.note("images without an object, which training skips", empty)
    small = (i["file_name"] for i in written if min(i["width"], i["height"]) < MIN_SIDE)
    what = f"images below {MIN_SIDE} pixels, which mmdet skips unless min_size is set, as here"
    report.note(what, small)
    return data


def _whole_numbers(ids: Sequence[int | str], what: str, report: Report) -> list[int]:
    """Ids that are whole numbers, in their order; renumbered unless all are."""
    bad = [id for id in ids if not isinstance(id, int) or not 0 <= id < LARGEST_ID]
    report.note(f"fixed: ids of {what} that are no whole numbers", bad)
    return list(range(1, len(ids) + 1)) if bad else list(ids)


def _differ(entries: list[Entry], source: list[Any]) -> bool:
    """Whether entries are not those of the file, in what mmdet reads."""
    return len(entries) != len(source) or any(
        not isinstance(old, dict)
        or bool(old.get("ignore"))
        or any(value != old.get(name) for name, value in entry.items())
        for entry, old in zip(entries, source, strict=True)
    )
