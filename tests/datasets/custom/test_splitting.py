"""A share of the images, the same each time."""

import pytest

from mmsmlp.datasets.custom import split
from mmsmlp.errors import DataError


def names(data: dict) -> set[str]:
    return {image["file_name"] for image in data["images"]}


def test_images_are_divided_with_their_boxes_whatever_their_order(data: dict) -> None:
    train, val = split(data, 0.3)
    assert (len(train["images"]), len(val["images"])) == (7, 3)
    assert names(train) | names(val) == names(data) and not names(train) & names(val)
    for part in (train, val):
        assert {e["image_id"] for e in part["annotations"]} == {i["id"] for i in part["images"]}
        assert part["categories"] == data["categories"]
    turned = dict(data, images=data["images"][::-1])
    assert names(split(turned, 0.3)[1]) == names(val)
    # As by any machine, and any version of Python.
    assert names(val) == {"0.png", "6.png", "8.png"}


def test_images_stay_on_their_side_when_one_is_added(data: dict) -> None:
    before = names(split(data, 0.3)[1])
    data["images"].append(dict(id=99, file_name="new.png"))
    assert len(before - names(split(data, 0.3)[1])) <= 1


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.99, 9)])
def test_no_side_is_empty(data: dict, share: float, expected: int) -> None:
    assert len(split(data, share)[1]["images"]) == expected


def test_a_single_image_is_not_divided(data: dict) -> None:
    with pytest.raises(DataError, match="one image"):
        split(dict(data, images=data["images"][:1]), 0.5)
