"""Masks of an annotation file, in any form that means one thing, and maps that move them.

A mask is a list of polygons, ``(points, 2)`` each, or runs of pixels as pycocotools has them.
Affine maps take ``(x, y)`` to ``way[:, :2] @ (x, y) + way[:, 2]``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .report import LARGEST, numbers

Mask = list[np.ndarray] | dict[str, Any]


def turning(orientation: int, size: tuple[int, int]) -> np.ndarray:
    """The affine map by which EXIF, 5 to 8, shows an image stored with a width and a height."""
    right, down = [0, -1, size[1]], [-1, 0, size[0]]
    across, along = [0, 1, 0], [1, 0, 0]
    rows = {5: (across, along), 6: (right, along), 7: (right, down), 8: (across, down)}
    return np.array(rows[orientation], float)


def scaling(size: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """The affine map from one size to another."""
    return np.diag([target[0] / size[0], target[1] / size[1], 1])[:2]


def move_points(points: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Points, ``(N, 2)``, moved by an affine map."""
    return points @ way[:, :2].T + way[:, 2]


def move_pixels(array: np.ndarray, way: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An array, ``(H, W)``, moved by an affine map along its axes into an image of a size."""
    if not way[0, 0]:  # the axes change places
        array, way = array.T, way[:, [1, 0, 2]]
    columns, rows = (
        ((np.arange(new) + 0.5 - way[axis, 2]) / way[axis, axis]).astype(int).clip(0, old - 1)
        for axis, (new, old) in enumerate(zip(size, array.shape[::-1], strict=True))
    )
    return array[rows][:, columns]


def move_mask(mask: Mask, way: np.ndarray, size: tuple[int, int]) -> Mask:
    """A mask moved by an affine map into an image of a size."""
    if isinstance(mask, list):
        return [move_points(polygon, way) for polygon in mask]
    return coco_mask.encode(np.asfortranarray(move_pixels(coco_mask.decode(mask), way, size)))


def extent(mask: Mask) -> np.ndarray:
    """x, y, width, height of a mask."""
    if isinstance(mask, dict):
        return coco_mask.toBbox(mask)
    points = np.concatenate(mask)
    return np.concatenate([points.min(axis=0), np.ptp(points, axis=0)])


def written(mask: Mask) -> Any:
    """A mask as COCO's format has it."""
    if isinstance(mask, dict):
        return dict(size=list(map(int, mask["size"])), counts=mask["counts"].decode())
    return [polygon.round(3).ravel().tolist() for polygon in mask]


def area(mask: Mask, size: tuple[int, int]) -> float:
    """Its pixels; of polygons, those that they enclose in an image of a size."""
    if isinstance(mask, list):
        shapes = coco_mask.frPyObjects([p.ravel().tolist() for p in mask], *size[::-1])
        mask = coco_mask.merge(shapes)
    return float(coco_mask.area(mask))


def read_mask(value: Any, size: tuple[int, int]) -> tuple[Mask | None, bool]:
    """A mask from a file's value, None if there is none, and whether it has COCO's format.

    Args:
        value: Polygons (lists of numbers, points or ``{'x': …, 'y': …}``; one without an outer
            list), runs of pixels (in a list or not), or any of these as text.
        size: Width and height of the frame of RLE masks.

    Raises:
        ValueError: If the value is none of these; the message names the value.
    """
    source = value
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{") and value.count("[") < 1e6:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("text") from None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if value in (None, [], {}, "", [[]], [None]):
        return None, True
    if isinstance(value, dict):
        mask, is_full = _read_runs(value, size)
        return mask, is_full and value is source
    polygons = [_points(value)]
    if polygons[0] is None and isinstance(value, list):
        polygons = [_points(item) for item in value if item != []]
    if any(polygon is None for polygon in polygons):
        raise ValueError("text" if isinstance(value, str) else "no list of points")
    polygons = [p for p in polygons if len(p) > 2 and np.ptp(p, axis=0).min() > 0]
    return polygons or None, [polygon.ravel().tolist() for polygon in polygons] == source


def _points(value: Any) -> np.ndarray | None:
    """A polygon, ``(points, 2)``, from numbers in turn, pairs, or dicts of x and y."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        value = [[item.get("x"), item.get("y")] for item in value]
    try:
        points = np.array(value, float)
    except (TypeError, ValueError, OverflowError):
        return None
    # Some have a list more than COCO's. Two pairs are as well two polygons of a point.
    points = points[0] if points.ndim > 1 and len(points) == 1 else points
    is_polygon = points.ndim == 1 and points.size % 2 == 0
    is_polygon |= points.ndim == 2 and points.shape[1] == 2 and len(points) > 2
    is_finite = points.size and np.abs(points).max() < LARGEST
    return points.reshape(-1, 2) if is_polygon and is_finite else None


def _read_runs(value: dict[str, Any], size: tuple[int, int]) -> tuple[Mask | None, bool]:
    """Runs of pixels, None if there is no pixel, and whether the file has them all."""
    counts, given, (width, height) = value.get("counts"), numbers(value.get("size")), size
    runs = (_decoded(counts) if isinstance(counts, str) else numbers(counts)) or [-1]
    missing = width * height - sum(runs)
    is_whole = all(run >= 0 and run == int(run) for run in runs)
    fits = given is None or sorted(given) == sorted(size)
    # Some omit the zeros at the end.
    if not (is_whole and fits) or missing < 0 or (missing and len(runs) % 2):
        raise ValueError(f"runs of pixels that do not fill {width}x{height}")
    counts = [*map(int, runs), *([int(missing)] if missing else [])]
    mask = coco_mask.frPyObjects(dict(size=[height, width], counts=counts), height, width)
    return (mask if sum(counts[1::2]) else None), not missing


def _decoded(text: str) -> list[int] | None:
    """Lengths of runs from COCO's text: groups of 5 bits, each length less the last but one."""
    runs: list[int] = []
    value = bits = 0
    for code in text.encode(errors="replace"):
        code -= 48
        if not 0 <= code < 64 or bits > 30:
            return None
        value |= (code & 31) << bits
        bits += 5
        if not code & 32:
            value -= bool(code & 16) << bits
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = bits = 0
    return None if bits else runs
