"""Optimizer settings by layer and mixed precision, registered in ``mmsmlp.registry``."""

from .bfloat16 import BFloat16OptimWrapper
from .decay_rules import NO_DECAY, DecayRulesOptimWrapperConstructor
from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = [
    "NO_DECAY",
    "BFloat16OptimWrapper",
    "DecayRulesOptimWrapperConstructor",
    "LayerDecayOptimWrapperConstructor",
]
