"""The swap: another backbone in any config of mmdet or mmseg."""

from mmsmlp.errors import SwapError

from .backbones import BACKBONES, named_backbone, published_weights
from .files import base_of, overrides, read_config, written
from .smoke_test import build_model, predict_noise
from .swapping import swap_backbone

__all__ = [
    "BACKBONES",
    "SwapError",
    "base_of",
    "build_model",
    "named_backbone",
    "overrides",
    "predict_noise",
    "published_weights",
    "read_config",
    "swap_backbone",
    "written",
]
