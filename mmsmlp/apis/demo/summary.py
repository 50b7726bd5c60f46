"""A prediction as a sentence and a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mmengine.structures import BaseDataElement

from .models import Prediction

MAX_ROWS = 50
CLASSES = 5
# mmdet's number of a panoptic segment is that of its class, and so many times a counter.
SEGMENTS = 1000


class Summary(NamedTuple):
    """A sentence, and a table with its head."""

    line: str
    headers: list[str]
    rows: list[list]


def describe(prediction: Prediction, classes: Sequence[str], threshold: float) -> Summary:
    """The predictions.

    Args:
        prediction: Of any library.
        classes: Their names.
        threshold: Objects of a detector count from above this score.
    """
    sample = prediction.sample
    if "pred_instances" in sample:
        return _objects(prediction, classes, threshold)
    if "pred_score" in sample:
        return _ranking(sample, classes)
    if "pred_sem_seg" in sample:
        return _areas(sample.pred_sem_seg.data.numpy(), classes)
    return _areas(sample.pred_panoptic_seg.sem_seg.numpy() % SEGMENTS, classes)


def _objects(prediction: Prediction, classes: Sequence[str], threshold: float) -> Summary:
    instances = prediction.sample.pred_instances
    above = (instances.scores > threshold).numpy()  # as the libraries draw them
    scores = instances.scores.numpy()
    shown = [i for i in np.argsort(-scores, kind="stable") if above[i]]
    masks = instances.get("masks")
    rows = []
    for i in shown[:MAX_ROWS]:
        x1, y1, x2, y2 = instances.bboxes[i].numpy() / prediction.scale
        box = f"{x1:.0f}, {y1:.0f}, {x2 - x1:.0f}, {y2 - y1:.0f}"
        row = [_name(classes, instances.labels[i]), round(float(scores[i]), 2), box]
        if masks is not None:
            row.append(round(100 * float(np.mean(np.asarray(masks[i]))), 1))
        rows.append(row)
    headers = ["class", "score", "x, y, w, h", *(["area (%)"] if masks is not None else [])]
    if shown:
        line = f"{_count(len(shown), 'object')} with a score above {threshold:g}"
        if len(shown) > MAX_ROWS:
            line += f", of which the first {MAX_ROWS} are listed"
    elif len(scores):
        line = f"No object has a score above {threshold:g}; the highest is {scores.max():.2f}"
    else:
        line = "No object was found"
    return Summary(line, headers, rows)


def _ranking(sample: BaseDataElement, classes: Sequence[str]) -> Summary:
    scores = sample.pred_score.numpy()
    best = np.argsort(-scores, kind="stable")[:CLASSES]
    rows = [[_name(classes, i), round(float(scores[i]), 3)] for i in best]
    return Summary(f"Most likely: {rows[0][0]}", ["class", "score"], rows)


def _areas(labels: np.ndarray, classes: Sequence[str]) -> Summary:
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rows = [
        [_name(classes, found[i]), round(100 * float(counts[i]) / labels.size, 1)] for i in order
    ]
    line = f"{len(rows)} class{'es' if len(rows) > 1 else ''}"
    return Summary(line, ["class", "area (%)"], rows[:MAX_ROWS])


def _name(classes: Sequence[str], label: int) -> str:
    return classes[label] if label < len(classes) else f"class {label}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"
