"""The config for own data: its numbers fit the data."""

from typing import Any

import pytest

from mmsmlp.datasets.custom.writing import WIDTH, _tuple, fitting_anchors, fitting_scale


def with_boxes(data: dict[str, Any], *sides: int) -> dict[str, Any]:
    for entry, side in zip(data["annotations"], sides * 10, strict=False):
        entry["bbox"] = [0, 0, side, side]
    return data


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (640, 480)), ((480, 640), (640, 480)), ((4000, 3000), (1333, 800))],
)
def test_images_keep_their_size_if_it_is_not_too_large(
    data: dict, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    for image in data["images"]:
        image["width"], image["height"] = size
    # A single one decides nothing.
    data["images"][0]["width"] = 10_000
    assert fitting_scale(data, (1333, 800)) == expected


@pytest.mark.parametrize(
    ("sides", "scales"),
    [([32], [8]), ([17], [8]), ([15], [4, 8]), ([7], [2, 4, 8]), ([2], [1, 2, 4, 8])],
)
def test_small_objects_get_small_anchors(data: dict, sides: list[int], scales: list[int]) -> None:
    """A scale of 8 makes anchors of 32 pixels; they do for objects half as large."""
    assert fitting_anchors(with_boxes(data, *sides), (64, 48), [8], 4) == scales


def test_what_counts_is_the_size_that_training_sees(data: dict) -> None:
    assert fitting_anchors(with_boxes(data, 16), (32, 24), [8], 4) == [4, 8]
    assert fitting_anchors(with_boxes(data, 9), (128, 96), [8], 4) == [8]


@pytest.mark.parametrize(
    "names", [["one"], ["a", "b"], [f'class {i} of "many"' for i in range(80)]]
)
def test_classes_are_written_as_python_in_short_lines(names: list[str]) -> None:
    text = _tuple(names)
    assert eval(text) == tuple(names)
    assert max(map(len, text.splitlines())) <= WIDTH + 4
