"""Building blocks in plain torch."""

from .activation import GELU
from .arguments import check_positive, check_whole, check_wholes, is_whole
from .axial import AXIAL_MODES, AxialMixing, resize_axial_map
from .cycle_fc import CycleFC, cycle_shift
from .extents import Extents
from .fusion import ConcatFusion, Sum, WeightedSum
from .lean import add, add_branch, is_lean, is_observed
from .linear_maps import Linear, axis_linear, is_channels_last, linear
from .mlp import ChannelMLP
from .norm import CentredLayerNorm2d, LayerNorm2d, conv_norm, image_norm
from .patch_embed import OverlapPatchEmbed, PatchEmbed
from .recomputing import checkpoint
from .recording import is_recording
from .resampling import resampling_matrix, upsample
from .shift import SS1, SS2, STAY, Direction, check_directions, check_straight, spatial_shift
from .shifted_maps import shift_counts, shifted_sum, sum_of_shifted_means
from .smlp import SparseMLP
from .split_attention import Mean, SplitAttention

__all__ = [
    "AXIAL_MODES",
    "GELU",
    "SS1",
    "SS2",
    "STAY",
    "AxialMixing",
    "CentredLayerNorm2d",
    "ChannelMLP",
    "ConcatFusion",
    "CycleFC",
    "Direction",
    "Extents",
    "LayerNorm2d",
    "Linear",
    "Mean",
    "OverlapPatchEmbed",
    "PatchEmbed",
    "SparseMLP",
    "SplitAttention",
    "Sum",
    "WeightedSum",
    "add",
    "add_branch",
    "axis_linear",
    "check_directions",
    "check_positive",
    "check_straight",
    "check_whole",
    "check_wholes",
    "checkpoint",
    "conv_norm",
    "cycle_shift",
    "image_norm",
    "is_channels_last",
    "is_lean",
    "is_observed",
    "is_recording",
    "is_whole",
    "linear",
    "resampling_matrix",
    "resize_axial_map",
    "shift_counts",
    "shifted_sum",
    "spatial_shift",
    "sum_of_shifted_means",
    "upsample",
]
