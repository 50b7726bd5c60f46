"""Optimizer settings by layer, registered in ``mmsmlp.registry.OPTIM_WRAPPER_CONSTRUCTORS``."""

from .layer_decay import LayerDecayOptimWrapperConstructor

__all__ = ["LayerDecayOptimWrapperConstructor"]
