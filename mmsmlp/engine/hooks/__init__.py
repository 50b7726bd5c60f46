"""Hooks for a run, registered in ``mmsmlp.registry.HOOKS``."""

from .checkpoint import AtomicCheckpointHook
from .data_error import DataErrorHook
from .exact_resume import ExactResumeHook
from .finite_loss import FiniteLossHook
from .left_out import LeftOutHook
from .loss_curve import LossCurveHook
from .matched_weights import MatchedWeightsHook
from .precise_bn import PreciseBNHook
from .prediction_sheet import PredictionSheetHook
from .stop_on_signal import StopOnSignalHook

__all__ = [
    "AtomicCheckpointHook",
    "DataErrorHook",
    "ExactResumeHook",
    "FiniteLossHook",
    "LeftOutHook",
    "LossCurveHook",
    "MatchedWeightsHook",
    "PreciseBNHook",
    "PredictionSheetHook",
    "StopOnSignalHook",
]
