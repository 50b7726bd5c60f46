"""Errors of a detector: precision and recall, confused classes, the worst cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .detections import Match, silent


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision over recall, as COCO has it.

    Args:
        recall: ``(R,)``, from 0 to 1.
        precision: ``(T, R, K)``, by IoU, recall and class; NaN for a class without objects.
        overlaps: ``(T,)``, from 0.5 to 0.95.
    """

    recall: np.ndarray
    precision: np.ndarray
    overlaps: np.ndarray

    def at(self, overlap: float) -> np.ndarray:
        """Precision ``(R, K)`` where a match is one from an IoU on."""
        return self.precision[np.abs(self.overlaps - overlap).argmin()]


def precision_recall(truth: COCO, found: COCO) -> PrecisionRecall:
    """Precision over recall of boxes, by pycocotools."""
    evaluation = COCOeval(truth, found, "bbox")
    with silent():
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # objects of any size
    return PrecisionRecall(
        evaluation.params.recThrs,
        np.where(precision < 0, np.nan, precision),
        evaluation.params.iouThrs,
    )


def confusion_matrix(matches: Sequence[Match], num_classes: int) -> np.ndarray:
    """How often an object of a class (the row) was found as one of a class (the column).

    Returns:
        ``(K + 1, K + 1)``; the last column has missed objects, the last row has detections without
        an object.
    """
    matrix = np.zeros((num_classes + 1, num_classes + 1), dtype=int)
    for match in matches:
        truth, found = (num_classes if label is None else label for label in match.labels)
        matrix[truth, found] += 1
    return matrix


def largest_errors(matches: Sequence[Match], count: int) -> dict[str, list[Match]]:
    """The worst cases: false detections with the highest score, the largest missed objects."""
    wrong = sorted((match for match in matches if match.found), key=lambda m: -m.found["score"])
    missed = sorted((match for match in matches if not match.found), key=lambda m: -m.truth["area"])
    confused = [match for match in wrong if match.truth and len(set(match.labels)) > 1]
    false_alarms = [match for match in wrong if not match.truth]
    kinds = {"wrong class": confused, "false alarm": false_alarms, "missed": missed}
    return {kind: cases[:count] for kind, cases in kinds.items()}
