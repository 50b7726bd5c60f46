"""Annotations as people bring them: objects where the file means them, or a line why not."""

import copy
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmsmlp.datasets.custom import Coco, read_coco
from mmsmlp.datasets.custom.masks import move_points, turning
from mmsmlp.errors import DataError, UsageError

from tests.datasets.custom.scenes import (  # isort: skip
    coco_set,
    make_scene,
    new_dataset,
    overlaps,
    training_set,
    write_json,
)

pytest.importorskip("mmdet")
Data = dict[str, Any]
SIZE = (128, 96)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def entries(**change: Callable[[Data], Any]) -> Callable[[Data], None]:
    """Give each annotation other values."""

    def apply(data: Data) -> None:
        for entry in data["annotations"]:
            new = {key: function(copy.deepcopy(entry)) for key, function in change.items()}
            entry.update(new)

    return apply


def first(**values: Any) -> Callable[[Data], None]:
    return lambda data: data["annotations"][0].update(values)


def without_masks(change: Callable[[Data], None]) -> Callable[[Data], None]:
    def apply(data: Data) -> None:
        change(data)
        for entry in data["annotations"]:
            del entry["segmentation"]

    return apply


def polygon(entry: Data) -> np.ndarray:
    return np.array(entry["segmentation"][0]).reshape(-1, 2)


def drawn(entry: Data) -> np.ndarray:
    shapes = coco_mask.frPyObjects(entry["segmentation"], SIZE[1], SIZE[0])
    return coco_mask.decode(coco_mask.merge(shapes))


def runs(entry: Data, order: str = "F", **more: Any) -> Data:
    values = drawn(entry).ravel(order)
    ends = np.flatnonzero(np.diff(values)) + 1
    counts = np.diff([0, *ends, len(values)]).tolist()
    return dict(size=[SIZE[1], SIZE[0]], counts=[0, *counts] if values[0] else counts, **more)


def compressed(entry: Data) -> Data:
    found = coco_mask.encode(np.asfortranarray(drawn(entry)))
    return dict(size=found["size"], counts=found["counts"].decode())


def corners(entry: Data) -> list[float]:
    x, y, w, h = entry["bbox"]
    return [x, y, x + w, y + h]


def centre(entry: Data) -> list[float]:
    x, y, w, h = entry["bbox"]
    return [x + w / 2, y + h / 2, w, h]


def fractions(box: list[float]) -> list[float]:
    return [value / SIZE[i % 2] for i, value in enumerate(box)]


def twice(data: Data) -> None:
    data["annotations"] += [dict(e, id=e["id"] + 100) for e in data["annotations"]]


def same_name(data: Data) -> None:
    data["categories"].insert(0, dict(id=0, name="box", supercategory="none"))


def text_ids(data: Data) -> None:
    for image in data["images"]:
        image["id"] = f"{image['id']}"
    for entry in data["annotations"]:
        entry["category_id"] = float(entry["category_id"])


def windows_paths(data: Data) -> None:
    for image in data["images"]:
        image["file_name"] = "C:\\data\\" + image["file_name"].replace(".png", ".PNG")


def listed_twice(data: Data) -> None:
    data["images"] += [dict(image, id=image["id"] + 50) for image in data["images"][:2]]
    for entry in data["annotations"][:2]:
        entry["image_id"] += 50


def ids_from_zero(data: Data) -> None:
    for category in data["categories"]:
        category["id"] -= 1
    for entry in data["annotations"]:
        entry["category_id"] -= 1


def scaled(factor: float) -> Callable[[Data], None]:
    def apply(data: Data) -> None:
        for image in data["images"]:
            image.update(width=round(SIZE[0] * factor), height=round(SIZE[1] * factor))
        for entry in data["annotations"]:
            entry["bbox"] = [value * factor for value in entry["bbox"]]
            entry["segmentation"] = [(polygon(entry) * factor).ravel().tolist()]

    return apply


NO_CHANGE = ""


def read() -> Coco:
    return read_coco(Path("ann.json"), Path("images"))


# What is changed, a part of what is said ('' if nothing may be), and how many objects are left.
ACCEPTED: dict[str, tuple[Callable[[Data], None], str, int]] = {
    "as it is": (lambda data: None, NO_CHANGE, 12),
    "runs": (entries(segmentation=runs), NO_CHANGE, 12),
    "runs as text": (entries(segmentation=compressed), NO_CHANGE, 12),
    "annotated twice": (twice, "left out: objects that are annotated twice: 12", 12),
    "all crowds": (
        entries(iscrowd=lambda e: 1, segmentation=runs),
        "fixed: iscrowd taken as 0, for most of the 12 objects are crowds",
        12,
    ),
    "crowd null": (entries(iscrowd=lambda e: None), "fixed: no iscrowd, taken as 0: 12", 12),
    "crowd as text": (entries(iscrowd=lambda e: "0"), NO_CHANGE, 12),
    "crowd false": (entries(iscrowd=lambda e: False), NO_CHANGE, 12),
    "crowd a list": (entries(iscrowd=lambda e: [0]), "iscrowd that is neither 0 nor 1", 12),
    "ignore": (
        lambda d: [e.update(ignore=1) for e in d["annotations"] if e["category_id"] == 2],
        "fixed: objects marked `ignore`, which mmdet drops and its evaluation counts",
        12,
    ),
    "ignore as text": (entries(ignore=lambda e: "false"), NO_CHANGE, 12),
    "ids are names": (
        entries(id=lambda e: f"a{e['id']:03}-7f3c"),
        "fixed: annotations whose id is no number from 1 on: 12",
        12,
    ),
    "ids are lists": (
        entries(id=lambda e: [e["id"]]),
        "annotations whose id is no number from 1 on: 12",
        12,
    ),
    "one id for all": (entries(id=lambda e: 7), NO_CHANGE, 12),
    "ids of images and categories are text and floats": (text_ids, NO_CHANGE, 12),
    "categories from 0": (ids_from_zero, NO_CHANGE, 12),
    "unused category of the same name": (
        same_name,
        "fixed: categories of the same name, taken as one: 1 (box)",
        12,
    ),
    "no area": (entries(area=lambda e: None), NO_CHANGE, 12),
    "area as text": (entries(area=lambda e: "large"), NO_CHANGE, 12),
    "far vertex": (
        lambda d: d["annotations"][3]["segmentation"][0].__setitem__(slice(0, 2), [2.1e8, 3.5e8]),
        "left out: boxes or masks that reach far beyond their image: 1 (id 4)",
        11,
    ),
    "not a number": (
        first(bbox=[1, 2, float("nan"), 4]),
        "left out: boxes that are not four numbers: 1 (id 1)",
        11,
    ),
    "infinity": (first(bbox=[1, 2, float("inf"), 4]), "boxes that are not four numbers", 11),
    "400 digits": (first(bbox=[1, 2, 10**400, 4]), "boxes that are not four numbers", 11),
    "400 digits in a mask": (
        first(segmentation=[[10**400, 2, 3, 4, 5, 6]]),
        "masks that cannot be read",
        11,
    ),
    "flat polygons": (
        entries(segmentation=lambda e: e["segmentation"][0]),
        "another form than COCO's: 12",
        12,
    ),
    "lists of points": (
        entries(segmentation=lambda e: [polygon(e).tolist()]),
        "another form than COCO's: 12",
        12,
    ),
    "points without an outer list": (
        entries(segmentation=lambda e: polygon(e).tolist()),
        "another form than COCO's: 12",
        12,
    ),
    "points as dicts": (
        entries(segmentation=lambda e: [dict(x=x, y=y) for x, y in polygon(e).tolist()]),
        "another form than COCO's: 12",
        12,
    ),
    "polygons as text": (
        entries(segmentation=lambda e: json.dumps(e["segmentation"])),
        "another form than COCO's",
        12,
    ),
    "numbers as text": (
        entries(segmentation=lambda e: [[str(v) for v in e["segmentation"][0]]]),
        "another form than COCO's",
        12,
    ),
    "runs in a list": (entries(segmentation=lambda e: [runs(e)]), "another form than COCO's", 12),
    "runs without zeros at the end": (
        entries(
            segmentation=lambda e: dict(
                (r := runs(e)), counts=(r["counts"] + [0])[: len(r["counts"]) // 2 * 2]
            )
        ),
        "another form than COCO's",
        12,
    ),
    "runs too short": (
        first(segmentation=dict(size=[96, 128], counts=[40, 5, 3])),
        "masks that cannot be read (runs of pixels that do not fill 128x96)",
        11,
    ),
    "runs too long": (
        first(segmentation=dict(size=[96, 128], counts=[40, 500000])),
        "runs of pixels that do not fill 128x96",
        11,
    ),
    "runs cut off": (
        first(segmentation=dict(size=[96, 128], counts="Zo")),
        "masks that cannot be read",
        11,
    ),
    "polygons are fractions": (
        entries(segmentation=lambda e: [(polygon(e) / SIZE).ravel().tolist()]),
        "fixed: masks that are fractions of their image: 12",
        12,
    ),
    "corners with masks": (entries(bbox=corners), "fixed: boxes given as two corners: 12", 12),
    "centres with masks": (entries(bbox=centre), "boxes given as centre, width, height: 12", 12),
    "all fractions with masks": (
        entries(
            bbox=lambda e: fractions(centre(e)),
            segmentation=lambda e: [(polygon(e) / SIZE).ravel().tolist()],
        ),
        "boxes given as centre, width, height: 12",
        12,
    ),
    "corners": (without_masks(entries(bbox=corners)), "boxes given as two corners: 12", 12),
    "centres": (without_masks(entries(bbox=centre)), "given as centre, width, height: 12", 12),
    "fractions": (
        without_masks(entries(bbox=lambda e: fractions(e["bbox"]))),
        "fixed: boxes that are fractions of their image: 12",
        12,
    ),
    "fractions of centres": (
        without_masks(entries(bbox=lambda e: fractions(centre(e)))),
        "given as centre",
        12,
    ),
    "boxes as text": (entries(bbox=lambda e: ", ".join(map(str, e["bbox"]))), "", 12),
    "no boxes": (entries(bbox=lambda e: None), "fixed: no box, taken from the mask: 12", 12),
    "images were resized after": (scaled(3), "of another size than annotated, moved: 12", 12),
    "images were enlarged after": (scaled(0.4), "of another size than annotated, moved: 12", 12),
    "sizes swapped by the tool": (
        lambda d: [i.update(width=96, height=128) for i in d["images"]],
        "fixed: sizes of images",
        12,
    ),
    "no sizes": (
        lambda d: [(i.pop("width"), i.pop("height")) for i in d["images"]],
        "fixed: sizes of images",
        12,
    ),
    "sizes are null": (
        lambda d: [i.update(width=None, height="?") for i in d["images"]],
        "fixed: sizes of images",
        12,
    ),
    "paths of another system": (windows_paths, "", 12),
    "images listed twice": (
        listed_twice,
        "fixed: images that are listed several times, joined: 2",
        12,
    ),
    "an image that is not there": (
        lambda d: d["images"][1].update(file_name="gone.png"),
        "left out: images that are not in images: 1",
        10,
    ),
    "an object of no image": (
        first(image_id=[1]),
        "left out: boxes of no image that can be read: 1 (id 1)",
        11,
    ),
    "an object of no category": (
        first(category_id=None),
        "boxes of no known category: 1 (id 1)",
        11,
    ),
    "entries that are no objects": (
        lambda d: d["annotations"].append(None),
        "left out: annotations that are no JSON objects: 1",
        12,
    ),
    "a mask elsewhere": (
        first(bbox=[100, 1, 10, 9], segmentation=[[2, 80, 20, 80, 20, 95]]),
        "left out: masks elsewhere than their box: 1 (id 1)",
        11,
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_objects_are_where_the_file_means_them(name: str) -> None:
    change, line, left = ACCEPTED[name]
    data = make_scene(Path("images"))
    had_masks = "segmentation" in data["annotations"][0]
    change(data)
    write_json(data)
    found = read()
    assert line in "\n".join(found.report)
    assert line != NO_CHANGE or not found.report
    boxes, masks = overlaps(found)
    assert (
        len(boxes) + 6 * (name == "ignore") == left and min(boxes) > 0.85 and np.mean(boxes) > 0.9
    )
    if had_masks and "segmentation" in data["annotations"][0]:
        assert len(masks) == len(boxes) and min(masks) > 0.8 and np.mean(masks) > 0.9
    # What is written is in order.
    Path("ann.json").write_text(found.text())
    again = read()
    assert not [text for text in again.report if "fixed" in text]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".webp"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("stored", [False, True])
def test_frames_of_images_that_exif_turns(suffix: str, orientation: int, stored: bool) -> None:
    """Annotations are for the image as it is shown, or as it is stored, with that size."""
    if stored and orientation in (1, 3):
        return  # nothing tells
    data = make_scene(Path("images"), suffix=suffix, orientation=orientation)
    if stored:
        # From the image as it is shown to the stored one.
        way = turning({6: 8, 8: 6}.get(orientation, orientation), SIZE)
        for image in data["images"]:
            image.update(width=SIZE[1], height=SIZE[0])
        for entry in data["annotations"]:
            x, y, w, h = entry["bbox"]
            ends = move_points(np.array([[x, y], [x + w, y + h]]), way)
            entry["bbox"] = [*ends.min(axis=0), *np.ptp(ends, axis=0)]
            entry["segmentation"] = [move_points(polygon(entry), way).ravel().tolist()]
    write_json(data)
    found = read()
    lines = found.report
    boxes, masks = overlaps(found)
    if suffix == ".webp" and orientation == 3:
        assert "that EXIF mirrors or turns upside down" in "\n".join(lines)  # OpenCV does not
        return
    assert len(boxes) == 12 and np.mean(boxes) > 0.9 and np.mean(masks) > 0.9
    seen_upright = mmcv.imfrombytes(Path(f"images/im0{suffix}").read_bytes()).shape[0] == SIZE[1]
    moved = "turned by EXIF, moved: 12" in "\n".join(lines)
    assert moved == (orientation > 3 and stored == seen_upright)


REFUSED: dict[str, tuple[Callable[[Data], None], str]] = {
    "runs along rows": (
        entries(segmentation=lambda e: runs(e, "C")),
        "its masks are not where its boxes are: points are x, y, and runs go along columns",
    ),
    "points are y, x": (
        entries(segmentation=lambda e: [polygon(e)[:, ::-1].ravel().tolist()]),
        "its masks are not where its boxes are",
    ),
    "no masks that can be read": (
        entries(segmentation=lambda e: "a mask"),
        "its masks cannot be read: 12 of 12, such as that of id 1: text",
    ),
    "boxes that could be two things": (
        without_masks(entries(bbox=lambda e: [0.3, 0.3, 0.4, 0.4])),
        "could be x, y, width, height or",
    ),
    "masks of other objects": (
        lambda d: (
            [
                e.update(bbox=d["annotations"][-i]["bbox"])
                for i, e in enumerate(copy.deepcopy(d["annotations"]), 1)
            ]
            and d.update(
                annotations=[
                    dict(e, bbox=f["bbox"])
                    for e, f in zip(
                        d["annotations"], d["annotations"][7:] + d["annotations"][:7], strict=True
                    )
                ]
            )
        ),
        "its masks are not where its boxes are",
    ),
    "boxes for much larger images": (
        without_masks(entries(bbox=lambda e: [v * 3 for v in e["bbox"]])),
        "would reach beyond their images",
    ),
    "two categories of an id": (
        lambda d: d["categories"][1].update(id=1),
        "several categories have the same id: 1",
    ),
    "two images of an id": (
        lambda d: d["images"][1].update(id=1),
        "several images have the same id: 1",
    ),
    "no images at all": (
        lambda d: [i.update(file_name="x" + i["file_name"]) for i in d["images"]],
        "none of its 6 images is there",
    ),
    "no annotations": (lambda d: d.update(annotations=[]), "its list 'annotations' is empty"),
    "no list": (
        lambda d: d.update(images={"1": "a"}),
        "not in COCO's format, which has a list 'images'",
    ),
    "nothing left": (
        without_masks(entries(bbox=lambda e: [1, 1, 0, 5])),
        "no box is left; .*narrower than a pixel: 12",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_data_are_an_error_of_one_line(name: str) -> None:
    change, message = REFUSED[name]
    data = make_scene(Path("images"))
    change(data)
    write_json(data)
    with pytest.raises(DataError, match=message) as error:
        read()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b"null", b'{"images": 1e9999999}', b"[" * 100000, b"\xff\xfe\x00"],
)
def test_no_annotation_file_is_refused_in_a_line(content: bytes) -> None:
    make_scene(Path("images"))
    Path("ann.json").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read|not in COCO's format"):
        read()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_of_other_systems_are_read(encoding: str) -> None:
    data = make_scene(Path("images"))
    data["categories"][0]["name"] = "Böx"
    Path("ann.json").write_text(json.dumps(data, ensure_ascii=False), encoding=encoding)
    assert read().boxes == {"Böx": 6, "pea": 6}


def test_one_split_may_lack_a_class() -> None:
    data = make_scene(Path("images"))
    write_json(data, "train.json")
    data["categories"] = [dict(id=1, name="pea")]
    data["annotations"] = [
        dict(e, category_id=1) for e in data["annotations"] if e["category_id"] == 2
    ]
    write_json(data, "val.json")
    train = read_coco(Path("train.json"), Path("images"))
    found = read_coco(Path("val.json"), Path("images"), like=train)
    assert "classes of training that it does not have: 1 (box)" in found.report
    assert min(overlaps(found)[0]) > 0.85
    val = coco_set(found)
    assert {
        i["bbox_label"] for info in map(val.get_data_info, range(6)) for i in info["instances"]
    } == {1}


def test_small_images_are_trained_on() -> None:
    data = make_scene(Path("images"), count=3)
    small = make_scene(Path("images/small"), count=3, size=(30, 28))
    for image in small["images"]:
        data["images"].append(
            dict(image, id=image["id"] + 10, file_name="small/" + image["file_name"])
        )
    for entry in small["annotations"]:
        data["annotations"].append(
            dict(entry, id=entry["id"] + 100, image_id=entry["image_id"] + 10)
        )
    write_json(data)
    new_dataset("images", "ann.json", "--val", "images", "ann.json")
    lines = read().report
    assert any(
        "images below 32 pixels, which mmdet skips unless min_size is set" in line for line in lines
    )
    assert len(training_set()) == 6


@pytest.mark.parametrize("kind", ["twelve bits", "float", "cut off", "empty", "text"])
def test_images_that_training_cannot_use_are_left_out(kind: str) -> None:
    data = make_scene(Path("images"))
    path = Path("images/im0.png")
    pixels = np.asarray(Image.open(path).convert("L"))
    if kind == "twelve bits":
        cv2.imwrite(str(path), pixels.astype(np.uint16) * 16)
    elif kind == "float":
        data["images"][0]["file_name"] = "im0.tif"
        Image.fromarray(pixels.astype(np.float32)).save("images/im0.tif")
    else:
        content = dict([("cut off", path.read_bytes()[:300]), ("empty", b""), ("text", b"hello")])
        path.write_bytes(content[kind])
    write_json(data)
    found = read()
    reason = (
        "of more than 8 bits" if kind == "twelve bits" else "that training cannot read: 1 (im0."
    )
    assert any(reason in line for line in found.report) and len(found.images) == 5


@pytest.mark.long
def test_images_of_more_than_pillow_takes_are_kept() -> None:
    data = make_scene(Path("images"))
    cv2.imwrite("images/large.png", np.zeros((10000, 18000), np.uint8))
    data["images"].append(dict(id=99, file_name="large.png", width=18000, height=10000))
    data["annotations"].append(
        dict(
            id=99,
            image_id=99,
            category_id=1,
            bbox=[9, 9, 900, 900],
            area=1,
            iscrowd=0,
            segmentation=[[9, 9, 909, 9, 909, 909]],
        )
    )
    write_json(data)
    assert len(read().images) == 7


@pytest.mark.parametrize(("suffix", "format"), [(".xml", "Pascal VOC"), (".txt", "YOLO")])
def test_other_formats_are_named(suffix: str, format: str) -> None:
    make_scene(Path("images"))
    Path("labels").mkdir()
    for i in range(3):
        Path(f"labels/im{i}{suffix}").write_text("0 0.1 0.2 0.3 0.4")
    with pytest.raises(UsageError, match=f"is in {format}'s format; make a COCO json of it"):
        new_dataset("images", "labels")


def test_a_broken_length_in_a_png_takes_no_memory() -> None:
    data = make_scene(Path("images"))
    path = Path("images/im0.png")
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") - 4] = 211  # 3.5 GB
    path.write_bytes(content)
    write_json(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "left out: images that training cannot read: 1 (im0.png)" in read().report
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


def test_broken_exif_is_no_reason_to_leave_an_image_out() -> None:
    data = make_scene(Path("images"), suffix=".jpg", orientation=1)
    path = Path("images/im0.jpg")
    content = path.read_bytes()
    exif = b"Exif\x00\x00II*\x00\xff\xff\xff\x7f"
    path.write_bytes(
        content[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + content[2:]
    )
    write_json(data)
    found = read()
    assert not found.report and len(found.images) == 6
