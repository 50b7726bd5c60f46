"""Masks in which mmdet finds nothing."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmsmlp.datasets.custom.masks import fits, is_empty


def encoded(pixels: int) -> dict[str, Any]:
    array = np.zeros((4, 6), dtype=np.uint8, order="F")
    array[0, :pixels] = 1
    runs = coco_mask.encode(array)
    return dict(size=list(runs["size"]), counts=runs["counts"].decode())


@pytest.mark.parametrize(
    ("segmentation", "empty"),
    [
        (None, True),
        ([], True),
        ([[1, 2, 3, 4]], True),
        ([[1, 2, 3, 4, 5, 6, 7]], True),
        ([[1, 1, 1, 5, 1, 9]], True),
        ([[1, 2, 3, 4], [0, 0, 5, 0, 5, 5]], False),
        (dict(size=[4, 6], counts=[24]), True),
        (dict(size=[4, 6], counts=[3, 2, 19]), False),
        (dict(counts=[3, 2, 19]), True),
        (encoded(0), True),
        (encoded(1), False),
    ],
)
def test_a_mask_is_empty_if_no_pixel_is_left(segmentation: Any, empty: bool) -> None:
    assert is_empty(segmentation) is empty


def test_runs_of_pixels_are_of_the_size_of_their_image() -> None:
    assert fits(encoded(1), (6, 4)) and not fits(encoded(1), (4, 6))
    assert fits([[0, 0, 5, 0, 5, 5]], (4, 6))
