"""Masks of an annotation file: polygons or runs of pixels, in any form that means one thing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .report import numbers

Box = tuple[float, float, float, float]
Points = Callable[[np.ndarray], np.ndarray]


@dataclass
class Mask:
    """A mask, as polygons or as runs of pixels.

    Attributes:
        polygons: Of shape ``(points, 2)`` each.
        runs: Lengths of runs of 0 and 1 in turn, if there are no polygons.
        source: What the file holds, as long as it can stay so.
    """

    polygons: list[np.ndarray]
    runs: np.ndarray | None = None
    source: Any = None

    def extent(self, size: tuple[int, int], swapped: bool = False) -> Box:
        """Left, top, right and bottom.

        Args:
            size: Width and height of the image.
            swapped: Whether points are y, x, and runs go along rows.
        """
        if self.runs is None:
            points = np.concatenate(self.polygons)[:, :: -1 if swapped else 1]
            return (*points.min(axis=0), *points.max(axis=0))
        if swapped:
            top, left, bottom, right = self._extent_of_runs(size[0])
        else:
            left, top, right, bottom = self._extent_of_runs(size[1])
        return left, top, right, bottom

    def _extent_of_runs(self, length: int) -> Box:
        ends = np.cumsum(self.runs)
        first, last = ends[:-1:2], ends[1::2] - 1
        first, last = first[last >= first], last[last >= first]
        if not len(first):
            return 0, 0, 0, 0
        within = first // length == last // length
        low = np.where(within, first % length, 0).min()
        high = np.where(within, last % length, length - 1).max()
        return first[0] // length, low, last[-1] // length + 1, high + 1

    def moved(
        self, points: Points, pixels: Points, size: tuple[int, int], along_rows: bool = False
    ) -> Mask:
        """The mask in another frame.

        Args:
            points: Moves points, ``(N, 2)``.
            pixels: Moves an array of pixels, ``(H, W)``.
            size: Width and height of the frame where the mask is.
            along_rows: Whether runs go along rows.
        """
        if self.runs is None:
            return Mask([points(polygon) for polygon in self.polygons])
        values = np.repeat(np.arange(len(self.runs)) % 2, self.runs).astype(np.uint8)
        array = values.reshape(size[::-1]) if along_rows else values.reshape(size).T
        runs = coco_mask.encode(np.asfortranarray(pixels(array)))
        runs = dict(size=list(map(int, runs["size"])), counts=runs["counts"].decode())
        return Mask([], _counts(runs["counts"]), runs)

    def fills(self, size: tuple[int, int]) -> bool:
        """Whether runs are for an image of a size."""
        return self.runs is not None and self.runs.sum() == np.prod(size)

    def written(self, size: tuple[int, int]) -> Any:
        """The mask as COCO's format has it, for an image of a width and a height."""
        if self.source is not None:
            return self.source
        if self.runs is not None:
            return dict(size=[size[1], size[0]], counts=self.runs.tolist())
        return [polygon.round(3).ravel().tolist() for polygon in self.polygons]

    def area(self, size: tuple[int, int]) -> float:
        """Its pixels; of polygons, those that they enclose."""
        if self.runs is not None:
            return float(self.runs[1::2].sum())
        shapes = coco_mask.frPyObjects([p.ravel().tolist() for p in self.polygons], *size[::-1])
        return float(coco_mask.area(coco_mask.merge(shapes)))


def read_mask(value: Any, size: tuple[int, int]) -> Mask | None:
    """A mask from what a file holds; None if there is none.

    Args:
        value: Polygons (lists of numbers, points or ``{'x': …, 'y': …}``; one without an outer
            list), runs of pixels (in a list or not), or any of these as text.
        size: Width and height of the frame that runs of pixels are to fill.

    Raises:
        ValueError: If the value is none of these; the message says what it is.
    """
    source = value
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{") and value.count("[") < 1e6:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("text") from None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if value in (None, [], {}, "", [[]]) or value == [None]:
        return None
    if isinstance(value, dict):
        return _read_runs(value, size, source)
    polygons = [_points(value)]
    if polygons[0] is None and isinstance(value, list):
        # Some have a list more than COCO's.
        lists = [
            v[0] if isinstance(v, list) and len(v) == 1 else v for v in value if v not in ([],)
        ]
        polygons = [_points(item) for item in lists]
    if any(polygon is None for polygon in polygons):
        raise ValueError("text" if isinstance(value, str) else "no list of points")
    polygons = [p for p in polygons if len(p) > 2 and np.ptp(p, axis=0).min() > 0]
    if not polygons:
        return None
    same = [polygon.ravel().tolist() for polygon in polygons] == source
    return Mask(polygons, source=source if same else None)


def _points(value: Any) -> np.ndarray | None:
    """A polygon, ``(points, 2)``, from numbers in turn, pairs, or dicts of x and y."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        value = [[item.get("x"), item.get("y")] for item in value]
    if isinstance(value, list) and value and all(isinstance(item, list) for item in value):
        pairs = [numbers(item) for item in value]
        # Two pairs are as well two polygons of a point.
        if any(pair is None or len(pair) != 2 for pair in pairs) or len(pairs) < 3:
            return None
        return np.array(pairs)
    flat = numbers(value)
    return None if not flat or len(flat) % 2 else np.array(flat).reshape(-1, 2)


def _read_runs(value: dict[str, Any], size: tuple[int, int], source: Any) -> Mask | None:
    counts, pixels = value.get("counts"), size[0] * size[1]
    runs = _counts(counts) if isinstance(counts, str) else numbers(counts)
    if runs is None:
        raise ValueError("no runs of pixels")
    runs = np.asarray(runs)
    if (runs < 0).any() or (runs != np.floor(runs)).any():
        raise ValueError("runs of pixels of a negative or a broken length")
    runs, total = runs.astype(np.int64), int(runs.sum())
    written = numbers(value.get("size"))
    if written is not None and sorted(written) != sorted(size):
        raise ValueError(f"runs of pixels for another size than {size[0]}x{size[1]}")
    # Some leave out the zeros at the end.
    if total != pixels and (total > pixels or len(runs) % 2):
        raise ValueError(f"runs of {total} pixels for an image of {pixels}")
    if not runs[1::2].sum():
        return None
    runs = np.append(runs, pixels - total) if total < pixels else runs
    same = source == value and total == pixels and written == [size[1], size[0]]
    same &= isinstance(counts, str) or counts == runs.tolist()
    return Mask([], runs, dict(size=value["size"], counts=counts) if same else None)


def _counts(text: str) -> np.ndarray | None:
    """Lengths of runs from COCO's text: groups of 5 bits, each length less the last but one."""
    codes = np.frombuffer(text.encode(errors="replace"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    last = np.flatnonzero(codes & 32 == 0)
    first = np.append(0, last[:-1] + 1)
    place = np.arange(len(codes)) - np.repeat(first, last - first + 1)
    if place.max() > 6:
        return None
    values = np.add.reduceat((codes & 31) << 5 * place, first)
    values -= ((codes[last] & 16) > 0) * (1 << 5 * (last - first + 1))
    runs = values.copy()
    runs[1::2], runs[2::2] = np.cumsum(values[1::2]), np.cumsum(values[2::2])
    return runs
