"""Hooks for a run, registered in ``mmsmlp.registry.HOOKS``."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmsmlp.registry import HOOKS

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


# Configs that former releases dumped name these.
@HOOKS.register_module(name="LeftOutHook")
def _left_out_hook(**options: Any) -> Hook:
    return _renamed("LeftOutHook", AnnotationReportHook, options)


@HOOKS.register_module(name="MatchedWeightsHook")
def _matched_weights_hook(**options: Any) -> Hook:
    return _renamed("MatchedWeightsHook", CheckWeightsHook, options)


def _renamed(former: str, hook: type[Hook], options: dict[str, Any]) -> Hook:
    print_log(f"mmsmlp.{former} is now mmsmlp.{hook.__name__}", "current", logging.WARNING)
    return hook(**options)
