"""What a detector gets wrong: precision and recall, classes taken for others, the worst cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import mmcv
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .detections import Match, silent
from .style import COLOURS, SEQUENTIAL, bare, new_figure

# More classes would be more than colours can tell apart, or a matrix has room for.
MAX_LINES = 7
MAX_CLASSES = 12
CROPS = 6
TRUTH, FOUND = COLOURS[1], COLOURS[4]


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
        evaluation.params.recThrs, np.where(precision < 0, np.nan, precision), evaluation.params.iouThrs
    )


def confusion_matrix(matches: Sequence[Match], num_classes: int) -> np.ndarray:
    """How often an object of a class (the row) was found as one of a class (the column).

    Returns:
        ``(K + 1, K + 1)``; the last column are objects that were missed, the last row is what was
        found where there is none.
    """
    matrix = np.zeros((num_classes + 1, num_classes + 1), dtype=int)
    for match in matches:
        truth, found = (num_classes if label is None else label for label in match.labels)
        matrix[truth, found] += 1
    return matrix


def largest_errors(matches: Sequence[Match], count: int = CROPS) -> dict[str, list[Match]]:
    """The worst cases by kind: of confusions and inventions those with the highest scores, of what
    was missed the largest.
    """  # noqa: D205
    by_score: Callable[[Match], float] = lambda match: -match.found["score"]  # noqa: E731
    kinds = {
        "wrong class": ([m for m in matches if None not in m.labels and len({*m.labels}) == 2], by_score),
        "nothing there": ([m for m in matches if m.truth is None], by_score),
        "missed": ([m for m in matches if m.found is None], lambda match: -match.truth["area"]),
    }
    return {kind: sorted(found, key=key)[:count] for kind, (found, key) in kinds.items()}
