"""The swap: another backbone in any config of mmdet or mmseg."""

from mmsmlp.errors import SwapError

from .backbones import BACKBONES, named_backbone
from .differences import changed_settings, overrides
from .files import base_of, find_config, read_config, written
from .proof import build_model, prove
from .swapping import swap_backbone

__all__ = [
    "BACKBONES",
    "SwapError",
    "base_of",
    "build_model",
    "changed_settings",
    "find_config",
    "named_backbone",
    "overrides",
    "prove",
    "read_config",
    "swap_backbone",
    "written",
]
