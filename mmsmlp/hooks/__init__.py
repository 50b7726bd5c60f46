"""Hooks for a run, registered in ``mmsmlp.registry.HOOKS``."""

from .checkpoint import AtomicCheckpointHook
from .exact_resume import ExactResumeHook
from .loss_curve import LossCurveHook
from .matched_weights import MatchedWeightsHook
from .precise_bn import PreciseBNHook
from .prediction_sheet import PredictionSheetHook
from .stop_on_signal import StopOnSignalHook

__all__ = [
    "AtomicCheckpointHook",
    "ExactResumeHook",
    "LossCurveHook",
    "MatchedWeightsHook",
    "PreciseBNHook",
    "PredictionSheetHook",
    "StopOnSignalHook",
]
