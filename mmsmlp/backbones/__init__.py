"""The backbones, registered in ``mmsmlp.registry.MODELS``."""

from .smlpnet import SMLPNet

__all__ = ["SMLPNet"]
