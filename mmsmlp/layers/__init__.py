"""Building blocks in plain torch."""

from .axial import AxialMixing, resampling_matrix
from .checkpoint import checkpoint
from .mlp import ChannelMLP
from .patch_embed import PatchEmbed
from .smlp import SparseMLP

__all__ = [
    "AxialMixing",
    "ChannelMLP",
    "PatchEmbed",
    "SparseMLP",
    "checkpoint",
    "resampling_matrix",
]
