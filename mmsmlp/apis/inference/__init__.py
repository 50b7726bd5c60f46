"""Predictions on images, videos and webcams, as files for people and programs."""

from .predictors import FilePredictor, ModelPredictor, Predictor
from .running import predict_all
from .sources import Source, sources_of
from .tasks import TASKS, Classification, Detection, Segmentation, Task, chosen_labels

__all__ = [
    "TASKS",
    "Classification",
    "Detection",
    "FilePredictor",
    "ModelPredictor",
    "Predictor",
    "Segmentation",
    "Source",
    "Task",
    "chosen_labels",
    "predict_all",
    "sources_of",
]
