"""Predictions on images, videos and webcams, as files for people and programs."""

from .predictor import Predictor, Prepared
from .running import predict_all
from .sources import Source, sources_of
from .tasks import (
    TASKS,
    Classification,
    Detection,
    Segmentation,
    Task,
    build_task,
    chosen_labels,
)

__all__ = [
    "TASKS",
    "Classification",
    "Detection",
    "Predictor",
    "Prepared",
    "Segmentation",
    "Source",
    "Task",
    "build_task",
    "chosen_labels",
    "predict_all",
    "sources_of",
]
