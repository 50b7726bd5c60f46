"""The backbones, registered in ``mmsmlp.registry.MODELS``."""

from .s2mlp import S2MLP
from .s2mlpv2 import S2MLPv2
from .smlpnet import SMLPNet

__all__ = ["S2MLP", "S2MLPv2", "SMLPNet"]
