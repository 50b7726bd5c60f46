"""Hooks for a run, registered in ``mmsmlp.registry.HOOKS``."""

from .loss_curve import LossCurveHook
from .precise_bn import PreciseBNHook
from .prediction_sheet import PredictionSheetHook

__all__ = ["LossCurveHook", "PreciseBNHook", "PredictionSheetHook"]
