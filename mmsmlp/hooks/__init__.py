"""Hooks that turn a run into pictures, registered in ``mmsmlp.registry.HOOKS``."""

from .loss_curve import LossCurveHook
from .prediction_sheet import PredictionSheetHook

__all__ = ["LossCurveHook", "PredictionSheetHook"]
