"""Optimizer settings by layer, registered in ``mmsmlp.registry.OPTIM_WRAPPER_CONSTRUCTORS``."""

from .layer_decay import NO_DECAY, LayerDecayOptimWrapperConstructor

__all__ = ["NO_DECAY", "LayerDecayOptimWrapperConstructor"]
