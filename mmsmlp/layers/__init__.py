"""Building blocks in plain torch."""

from .axial import AxialMixing, resampling_matrix
from .checkpoint import checkpoint
from .fusion import ConcatFusion, Mean, Sum, WeightedSum
from .mlp import ChannelMLP
from .norm import LayerNorm2d
from .patch_embed import PatchEmbed
from .shift import SS1, SS2, STAY, Direction, spatial_shift
from .smlp import SparseMLP
from .split_attention import SplitAttention

__all__ = [
    "SS1",
    "SS2",
    "STAY",
    "AxialMixing",
    "ChannelMLP",
    "ConcatFusion",
    "Direction",
    "LayerNorm2d",
    "Mean",
    "PatchEmbed",
    "SparseMLP",
    "SplitAttention",
    "Sum",
    "WeightedSum",
    "checkpoint",
    "resampling_matrix",
    "spatial_shift",
]
