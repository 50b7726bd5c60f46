"""Building blocks in plain torch."""

from .axial import AxialMixing, resampling_matrix
from .checkpoint import checkpoint
from .mlp import ChannelMLP
from .patch_embed import PatchEmbed
from .shift import SS1, SS2, STAY, spatial_shift
from .smlp import SparseMLP

__all__ = [
    "SS1",
    "SS2",
    "STAY",
    "AxialMixing",
    "ChannelMLP",
    "PatchEmbed",
    "SparseMLP",
    "checkpoint",
    "resampling_matrix",
    "spatial_shift",
]
