"""Pictures of networks, trainings and detections."""

from mmsmlp.errors import PictureError

from .axial import AxialMap, applied_matrix, axial_maps, draw_axial_maps
from .curves import Curves, draw_curves, read_curves, shown_metrics
from .detection_errors import PrecisionRecall, confusion_matrix, largest_errors, precision_recall
from .detections import Match, ground_truth, match_detections, read_detections
from .error_sheet import draw_errors
from .features import Components, draw_features, principal_components
from .networks import build_backbone, images_as_input, input_of, load_weights
from .predictions import build_visualizer, draw_comparison, draw_sample
from .receptive_field import draw_receptive_fields, extent, receptive_fields, relative
from .style import FORMATS, save

__all__ = [
    "FORMATS",
    "AxialMap",
    "Components",
    "Curves",
    "Match",
    "PictureError",
    "PrecisionRecall",
    "applied_matrix",
    "axial_maps",
    "build_backbone",
    "build_visualizer",
    "confusion_matrix",
    "draw_axial_maps",
    "draw_comparison",
    "draw_curves",
    "draw_errors",
    "draw_features",
    "draw_receptive_fields",
    "draw_sample",
    "extent",
    "ground_truth",
    "images_as_input",
    "input_of",
    "largest_errors",
    "load_weights",
    "match_detections",
    "precision_recall",
    "principal_components",
    "read_curves",
    "read_detections",
    "receptive_fields",
    "relative",
    "save",
    "shown_metrics",
]
