"""The picture of a detector's errors."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import mmcv
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pycocotools.coco import COCO

from .detection_errors import PrecisionRecall, confusion_matrix, largest_errors
from .detections import Match
from .style import COLOURS, SEQUENTIAL, bare, new_figure

# There are no more distinct colours, and a matrix has no room for more.
MAX_LINES = 6
MAX_CLASSES = 12
CROPS = 6
# Of a crop, about the boxes in it, as a part of their larger side; and its least side in pixels.
MARGIN = 0.3
MIN_SIDE = 40
TRUTH, FOUND = COLOURS[5], COLOURS[4]  # bright, on any image


def draw_errors(
    truth: COCO, curves: PrecisionRecall, matches: Sequence[Match], heading: str
) -> Figure:
    """Precision over recall, the confusion matrix, and the worst cases.

    Args:
        truth: The ground truth.
        curves: Of the detections.
        matches: Of detections and objects.
        heading: Subject of the analysis.
    """
    classes = [category["name"] for category in truth.dataset["categories"]]
    figure = new_figure(12, 12.5)
    figure.suptitle(heading, fontsize=10)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    left, right = top.subplots(1, 2)
    draw_precision_recall(left, curves, classes)
    draw_confusions(right, confusion_matrix(matches, len(classes)), classes)
    cases = largest_errors(matches, CROPS)
    grid = bottom.subplots(len(cases), CROPS, squeeze=False)
    for row, (kind, of_kind) in zip(grid, cases.items(), strict=True):
        row[0].set_ylabel(kind)
        for axes in row:
            bare(axes)
        for axes in row[max(len(of_kind), 1) :]:
            axes.axis("off")
        if not of_kind:
            row[0].set_xlabel("none", fontsize=9)
        for axes, match in zip(row, of_kind, strict=False):
            draw_case(axes, match, truth.imgs[match.image_id]["path"], classes)
    handles = [
        Rectangle((0, 0), 1, 1, fill=False, lw=2, color=colour, ls=line, label=label)
        for colour, line, label in ((TRUTH, "-", "object"), (FOUND, "--", "detection, with score"))
    ]
    bottom.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def draw_precision_recall(axes: Axes, curves: PrecisionRecall, classes: Sequence[str]) -> None:
    """A line for each class, the worst in colour where there are many, and their means."""
    at_half = curves.at(0.5)
    # A class without objects has no recall.
    known = np.flatnonzero(~np.isnan(at_half).any(axis=0))
    worst = known[at_half[:, known].mean(axis=0).argsort()]
    for k in worst[MAX_LINES:]:
        axes.plot(curves.recall, at_half[:, k], color="0.85", lw=0.8)
    colours = [colour for colour in COLOURS if colour != "#000000"]
    for k, colour in zip(worst[:MAX_LINES][::-1], colours, strict=False):
        label = f"{classes[k]}: {at_half[:, k].mean():.2f}"
        axes.plot(curves.recall, at_half[:, k], color=colour, label=label)
    for overlap, line in ((0.5, "-"), (0.75, "--")):
        mean = curves.at(overlap)[:, known].mean(axis=1)
        label = f"mean: {mean.mean():.2f}" + ("" if overlap == 0.5 else f" at IoU {overlap}")
        axes.plot(curves.recall, mean, "k", ls=line, lw=2, label=label)
    which = f", the {MAX_LINES} worst of {len(known)} classes" if len(known) > MAX_LINES else ""
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"boxes, IoU 0.5{which}", loc="left", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(title="average precision", loc="lower left")


def draw_confusions(axes: Axes, matrix: np.ndarray, classes: Sequence[str]) -> None:
    """Predicted class of the objects of each class; of many classes those with most errors."""
    wrong = matrix - np.diag(matrix.diagonal())
    shown = np.arange(len(classes))
    if len(classes) > MAX_CLASSES:
        errors = wrong[:-1, :-1].sum(0) + wrong[:-1, :-1].sum(1)
        shown = np.sort(errors.argsort()[::-1][:MAX_CLASSES])
    places = [*shown, len(classes)]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    part, counts = (one[np.ix_(places, places)] for one in (shares, matrix))
    picture = axes.imshow(part, SEQUENTIAL, vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        if count:
            colour = "white" if part[i, j] < 0.5 else "black"
            axes.text(j, i, f"{count}", ha="center", va="center", color=colour, fontsize=8)
    labels = [classes[k] for k in shown]
    tilted = dict(rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xticks(range(len(places)), [*labels, "missed"], **tilted)
    axes.set_yticks(range(len(places)), [*labels, "no object"])
    which = f", {MAX_CLASSES} of {len(classes)} classes" if len(classes) > MAX_CLASSES else ""
    axes.set(xlabel="found as", ylabel="object")
    axes.set_title(f"number of objects{which}", loc="left", fontsize=10)
    axes.figure.colorbar(picture, ax=axes, label="share of the row", shrink=0.8)


def draw_case(axes: Axes, match: Match, path: str, classes: Sequence[str]) -> None:
    """A part of an image with the boxes of a case."""
    image = mmcv.imread(path, channel_order="rgb")
    top, bottom, left, right = crop_window(match, image.shape[:2])
    axes.imshow(image[top:bottom, left:right], extent=(left, right, bottom, top))
    names = []
    for one, colour, line in ((match.truth, TRUTH, "-"), (match.found, FOUND, "--")):
        if one is not None:
            x, y, width, height = one["bbox"]
            axes.add_patch(
                Rectangle((x, y), width, height, fill=False, color=colour, ls=line, lw=2)
            )
            score = f" {one['score']:.2f}" if one is match.found else ""
            names.append(classes[one["category_id"]] + score)
    overlap = f", IoU {match.overlap:.2f}" if match.found else ""
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_xlabel(" as ".join(names) + overlap, fontsize=9)


def crop_window(match: Match, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """First and last row and column of a square about the boxes, as far as the image has them."""
    boxes = np.array([one["bbox"] for one in (match.truth, match.found) if one is not None])
    low = boxes[:, :2].min(axis=0)
    high = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    side = max((1 + 2 * MARGIN) * (high - low).max(), MIN_SIDE)
    window = []
    for middle, length in zip((low + high)[::-1] / 2, size, strict=True):
        window += [max(int(middle - side / 2), 0), min(ceil(middle + side / 2), length)]
    return tuple(window)
