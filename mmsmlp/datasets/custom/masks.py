"""Masks of an annotation file: polygons, or runs of pixels."""

from __future__ import annotations

from typing import Any

from pycocotools import mask as coco_mask


def is_empty(segmentation: Any) -> bool:
    """Whether mmdet would find nothing in a mask.

    Args:
        segmentation: Polygons, or a dict of ``size`` and ``counts``.
    """
    if isinstance(segmentation, list):
        return not any(_is_polygon(points) for points in segmentation)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        return True
    counts = segmentation["counts"]
    if isinstance(counts, list):
        return sum(counts[1::2]) == 0
    return int(coco_mask.area(dict(segmentation, counts=counts.encode()))) == 0


def _is_polygon(points: Any) -> bool:
    return (
        isinstance(points, list)
        and len(points) >= 6
        and len(points) % 2 == 0
        and len(set(points[::2])) > 1 < len(set(points[1::2]))
    )


def fits(segmentation: Any, size: tuple[int, int]) -> bool:
    """Whether a mask is of the size of its image; polygons always are.

    Args:
        segmentation: A mask that is not empty.
        size: Width and height.
    """
    return isinstance(segmentation, list) or tuple(segmentation["size"]) == size[::-1]
