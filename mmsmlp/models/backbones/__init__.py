"""The backbones, registered in ``mmsmlp.registry.MODELS``."""

from .cyclemlp import CycleMLP
from .s2mlp import S2MLP
from .s2mlpv2 import S2MLPv2
from .smlpnet import SMLPNet

__all__ = ["S2MLP", "CycleMLP", "S2MLPv2", "SMLPNet"]
