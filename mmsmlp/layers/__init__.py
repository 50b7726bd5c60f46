"""Building blocks in plain torch."""

from .axial import AXIAL_MODES, AxialMixing, resize_axial_map
from .axis_linear import axis_linear
from .checkpoint import checkpoint
from .fusion import ConcatFusion, Mean, Sum, WeightedSum
from .mlp import ChannelMLP
from .norm import LayerNorm2d
from .patch_embed import PatchEmbed
from .recording import is_recording
from .resampling import resampling_matrix, upsample_axis
from .shift import SS1, SS2, STAY, Direction, spatial_shift
from .smlp import SparseMLP
from .split_attention import SplitAttention

__all__ = [
    "AXIAL_MODES",
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
    "axis_linear",
    "checkpoint",
    "is_recording",
    "resampling_matrix",
    "resize_axial_map",
    "spatial_shift",
    "upsample_axis",
]
