"""Operators on boxes: non-maximum suppression and overlaps.

Boxes are (N, 4), x1, y1, x2, y2 in pixels. With an offset of 1, a box ends behind its last pixel.
"""

from ctypes import c_float

import torch
import torchvision  # noqa: F401, registers its operators
from torch import Tensor

from mmsmlp.ops.base import operator, single


@operator
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that stay, by descending score, (K,)."""
    boxes, scores = single(boxes, scores)
    if offset:
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], dim=1)
    # mmcv compares in single precision, in which 0.1 is not the double 0.1.
    return torch.ops.torchvision.nms(boxes, scores, c_float(iou_threshold).value)


@operator
def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the scores of boxes that overlap with better ones (arXiv 1704.04503, section 3).

    Args:
        boxes: (N, 4)
        scores: (N,)
        dets: (N, 5), takes the boxes that stay, with their new scores.
        iou_threshold: Of methods 0 and 1: from where on scores fall.
        sigma: Of method 2.
        min_score: Boxes whose scores fall below are dropped.
        method: 0 sets scores to zero, 1 is linear, 2 Gaussian.
        offset: 0 or 1.

    Returns:
        Their indices, (K,).
    """
    left = torch.arange(len(boxes), device=boxes.device)
    kept = []
    scores = scores.clone()
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(kept), :4], dets[len(kept), 4] = boxes[best], scores[best]
        kept.append(best)
        left = left[left != best]
        iou = overlaps(boxes[best, None], boxes[left], offset=offset)
        if method == 2:
            weight = torch.exp(-iou.square() / sigma)
        else:
            weight = torch.where(iou >= iou_threshold, 1 - iou if method else 0, 1.0)
        scores[left] *= weight
        left = left[scores[left] >= min_score]
    return torch.stack(kept) if kept else left


@operator
def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups of boxes (N, 5): each that stays, and those that it suppresses, by score."""
    boxes, left = dets[:, :4], dets[:, 4].argsort(descending=True)
    groups = []
    while len(left):
        best, left = left[0], left[1:]
        near = overlaps(boxes[best, None], boxes[left]) >= iou_threshold
        groups.append([int(best), *left[near].tolist()])
        left = left[~near]
    return groups


@operator
def bbox_overlaps(
    bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode: int, aligned: bool, offset: int
) -> None:
    """Fill `ious` with overlaps, of pairs (N,) if aligned, else of all with all (N, M).

    Mode 0 divides by the union, mode 1 by the area of the first.
    """
    boxes = bboxes1 if aligned else bboxes1[:, None]
    ious.copy_(overlaps(boxes, bboxes2, offset=offset, of_first=mode == 1))


def overlaps(boxes: Tensor, others: Tensor, *, offset: int = 0, of_first: bool = False) -> Tensor:
    """(..., 4), (..., 4) -> (...), intersection over union, or over the area of `boxes`."""
    boxes, others = single(boxes, others)
    corner = torch.maximum(boxes[..., :2], others[..., :2])
    size = torch.minimum(boxes[..., 2:], others[..., 2:]) - corner + offset
    intersection = size.clamp(min=0).prod(-1)
    area, other = ((x[..., 2:] - x[..., :2] + offset).prod(-1) for x in (boxes, others))
    return intersection / (area if of_first else area + other - intersection)
