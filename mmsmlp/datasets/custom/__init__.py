"""Custom data: annotations, masks or folders of classes, read, checked and split."""

from .class_folders import ClassFolders, read_class_folders, splits_of
from .coco import MIN_SIDE, Coco, read_coco
from .images import files_of, is_hidden, read_images
from .report import Report, held_out, printable
from .segmentation import Segmentation, look_at_mask, read_masks

__all__ = [
    "MIN_SIDE",
    "ClassFolders",
    "Coco",
    "Report",
    "Segmentation",
    "files_of",
    "held_out",
    "is_hidden",
    "look_at_mask",
    "printable",
    "read_class_folders",
    "read_coco",
    "read_images",
    "read_masks",
    "splits_of",
]
