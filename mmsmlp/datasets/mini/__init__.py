"""A small data set of generated photographs, to run every job without downloading one.

``ensure_mini`` writes it; detection and instance segmentation read it as COCO, semantic
segmentation as index maps (0 is the background, ``PALETTE[0]``; class k of ``CLASSES``, from
1, is k), classification as a folder per class.
"""

from .dataset import VERSION, ensure_mini
from .shapes import CLASSES, PALETTE

__all__ = ["CLASSES", "PALETTE", "VERSION", "ensure_mini"]
