"""Own data: an annotation file in COCO's format, checked, split, and put into a config."""

from mmsmlp.errors import DataError

from .annotations import Annotations, read_annotations
from .checking import Checked, boxes_of_classes, check_annotations
from .images import Images, look_at_images
from .splitting import split
from .writing import Set, config_text

__all__ = [
    "Annotations",
    "Checked",
    "DataError",
    "Images",
    "Set",
    "boxes_of_classes",
    "check_annotations",
    "config_text",
    "look_at_images",
    "read_annotations",
    "split",
]
