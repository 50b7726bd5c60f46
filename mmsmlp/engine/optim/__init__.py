"""Optimizer settings by layer and mixed precision, registered in ``mmsmlp.registry``."""

from .bfloat16 import BFloat16OptimWrapper
from .layer_decay import (
    NO_DECAY,
    LayerDecayOptimWrapperConstructor,
    ParamwiseOptimWrapperConstructor,
)

__all__ = [
    "NO_DECAY",
    "BFloat16OptimWrapper",
    "LayerDecayOptimWrapperConstructor",
    "ParamwiseOptimWrapperConstructor",
]
