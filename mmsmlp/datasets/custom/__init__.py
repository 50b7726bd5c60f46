"""Custom data: annotations, masks or folders of classes, read, checked and split."""

from .class_folders import ClassFolders, read_class_folders, splits_of
from .coco import Coco, read_coco
from .report import Report, held_out, printable
from .segmentation import Segmentation, read_masks

__all__ = [
    "ClassFolders",
    "Coco",
    "Report",
    "Segmentation",
    "held_out",
    "printable",
    "read_class_folders",
    "read_coco",
    "read_masks",
    "splits_of",
]
