"""Every fault of annotations is told in a line, and what is left can be trained on."""

from collections.abc import Callable
from typing import Any

import pytest

from mmsmlp.datasets.custom import Images, check_annotations
from mmsmlp.errors import DataError

TRIANGLE = [[0, 0, 9, 0, 9, 9]]


def change(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Gives the first two annotations other values; None takes one away."""

    def apply(data: dict[str, Any]) -> None:
        for entry in data["annotations"][:2]:
            for key, value in values.items():
                if value is None:
                    del entry[key]
                else:
                    entry[key] = value

    return apply


@pytest.mark.parametrize(
    ("fault", "finding", "left"),
    [
        (change(bbox=[5, 5, 0.5, 9]), "left out: boxes narrower than a pixel: 2 (id 1, id 2)", 8),
        (change(bbox=[5, 5, 9, 0]), "left out: boxes narrower than a pixel: 2 (id 1, id 2)", 8),
        (change(bbox=[5, 5, 9, -3]), "left out: boxes of negative width or height: 2", 8),
        (change(bbox=[64, 5, 9, 9]), "left out: boxes outside of their image: 2", 8),
        (change(bbox=[5, -9, 9, 9]), "left out: boxes outside of their image: 2", 8),
        (change(bbox=[5, 5, 9]), "left out: boxes that are not four numbers: 2", 8),
        (change(bbox=[5, 5, 9, float("nan")]), "left out: boxes that are not four numbers: 2", 8),
        (change(category_id=7), "left out: boxes of no known category: 2", 8),
        (change(image_id=70), "left out: boxes of no known image: 2", 8),
        (change(area=0), "mended: no area, taken from the box: 2", 10),
        (change(area=None), "mended: no area, taken from the box: 2", 10),
        (change(iscrowd=None), "mended: no iscrowd, taken as 0: 2", 10),
        (change(id=3), "mended: annotations whose id is 0, missing or taken twice: 3", 10),
        (change(id=None), "mended: annotations whose id is 0, missing or taken twice: 2", 10),
    ],
)
def test_a_fault_is_left_out_or_mended(
    data: dict, images: Images, fault: Callable, finding: str, left: int
) -> None:
    fault(data)
    checked = check_annotations(data, images)
    assert checked.findings[0].startswith(finding)
    assert checked.changed and len(checked.data["annotations"]) == left
    entries = checked.data["annotations"]
    assert len({entry["id"] for entry in entries} - {0, None}) == left
    assert all(entry["area"] > 0 and entry["iscrowd"] == 0 for entry in entries)
    again = check_annotations(checked.data, images)
    assert not again.changed and again.data == checked.data


def test_what_has_no_fault_stays_as_it_is(data: dict, images: Images) -> None:
    checked = check_annotations(data, images)
    assert checked.findings == [] and not checked.changed and not checked.with_masks
    assert checked.data == data


def test_a_box_that_reaches_over_the_border_is_kept(data: dict, images: Images) -> None:
    change(bbox=[-5, 40, 30, 30])(data)
    assert check_annotations(data, images).findings == []


def test_images_without_a_file_go_with_their_boxes(data: dict, images: Images) -> None:
    del images.sizes["3.png"], images.sizes["4.png"]
    images.missing, images.broken = ["3.png"], ["4.png"]
    checked = check_annotations(data, images)
    assert checked.findings == [
        "left out: images that are not in folder: 1 (3.png)",
        "left out: images that cannot be read: 1 (4.png)",
    ]
    assert len(checked.data["images"]) == len(checked.data["annotations"]) == 8


def test_the_size_is_that_of_the_file(data: dict, images: Images) -> None:
    images.sizes["0.png"] = (48, 64)
    del data["images"][1]["width"]
    checked = check_annotations(data, images)
    assert checked.findings == [
        "mended: sizes of images, which differ from what is annotated: 2 "
        "(0.png is 48x64, 1.png is 64x48)"
    ]
    assert [(i["width"], i["height"]) for i in checked.data["images"][:2]] == [(48, 64), (64, 48)]


def test_empty_classes_and_images_are_told(data: dict, images: Images) -> None:
    data["categories"].append(dict(id=3, name="emu"))
    del data["annotations"][0]
    checked = check_annotations(data, images)
    assert checked.findings == [
        "classes without a box: 1 (emu)",
        "images without a box, which training skips: 1 (0.png)",
    ]
    assert not checked.changed


def test_classes_are_chosen_in_the_order_of_the_user(data: dict, images: Images) -> None:
    checked = check_annotations(data, images, ["dog", "cat"])
    assert [c["name"] for c in checked.data["categories"]] == ["dog", "cat"]
    assert checked.changed and checked.findings == []
    checked = check_annotations(data, images, ["dog"])
    assert (
        checked.findings[0] == "left out: boxes of other classes: 5 (id 2, id 4, id 6 and 2 more)"
    )
    assert {e["category_id"] for e in checked.data["annotations"]} == {2}


@pytest.mark.parametrize(
    ("name", "message"),
    [("cats", "no class 'cats'; did you mean cat"), ("yak", "no class 'yak'; it has cat, dog")],
)
def test_a_class_that_is_not_there_is_refused(
    data: dict, images: Images, name: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check_annotations(data, images, ["dog", name])


def test_masks_are_used_if_most_objects_have_one(data: dict, images: Images) -> None:
    for entry in data["annotations"]:
        entry["segmentation"] = TRIANGLE
    assert check_annotations(data, images).findings == []
    del data["annotations"][0]["segmentation"]
    data["annotations"][1]["segmentation"] = [[1, 2, 3, 4]]
    data["annotations"][2]["segmentation"] = dict(size=[64, 48], counts=[3, 2, 64 * 48 - 5])
    checked = check_annotations(data, images)
    assert checked.with_masks and checked.findings[:2] == [
        "left out: masks that are empty: 2 (id 1, id 2)",
        "left out: masks of another size than their image: 1 (id 3)",
    ]
    assert [entry["id"] for entry in checked.data["annotations"]] == list(range(4, 11))
    for entry in data["annotations"][:6]:
        entry["segmentation"] = []
    checked = check_annotations(data, images)
    assert not checked.with_masks and checked.findings == []


def test_boxes_by_two_corners_are_refused(data: dict, images: Images) -> None:
    for entry in data["annotations"]:
        x, y, w, h = entry["bbox"]
        entry["bbox"] = [x + 20, y + 15, x + 20 + w, y + 15 + h]
    with pytest.raises(DataError, match=r"two corners, x1, y1, x2, y2 \(10 of 10 would reach"):
        check_annotations(data, images)


def test_boxes_by_fractions_are_refused(data: dict, images: Images) -> None:
    for entry in data["annotations"]:
        entry["bbox"] = [0.1, 0.2, 0.3, 0.4]
    with pytest.raises(DataError, match="fractions of the image"):
        check_annotations(data, images)


def test_nothing_left_is_an_error_that_says_why(data: dict, images: Images) -> None:
    for entry in data["annotations"]:
        entry["bbox"][2] = 0
    with pytest.raises(DataError, match=r"no box is left; .* narrower than a pixel: 10"):
        check_annotations(data, images)
