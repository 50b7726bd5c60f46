"""Hooks for a run, registered in ``mmsmlp.registry.HOOKS``."""

from .batch_norm import PreciseBNHook, calibrate_norms, image_batches
from .checkpoint import AtomicCheckpointHook, StopOnSignalHook
from .checks import CheckWeightsHook, FiniteLossHook
from .data_error import DataErrorHook
from .exact_resume import ExactResumeHook
from .reports import AnnotationReportHook, LossCurveHook, PredictionSheetHook

__all__ = [
    "AnnotationReportHook",
    "AtomicCheckpointHook",
    "CheckWeightsHook",
    "DataErrorHook",
    "ExactResumeHook",
    "FiniteLossHook",
    "LossCurveHook",
    "PreciseBNHook",
    "PredictionSheetHook",
    "StopOnSignalHook",
    "calibrate_norms",
    "image_batches",
]
