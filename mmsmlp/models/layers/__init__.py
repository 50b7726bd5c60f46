"""Building blocks in plain torch."""

from .ablations import AblatedSparseMLP, Mean, Sum, WeightedSum
from .activation import GELU
from .arguments import check_int, check_ints, check_positive, is_int
from .axial import AxialMixing, resize_axial_map
from .checkpointing import checkpoint, recompute_gelu
from .cycle_fc import CycleFC, cycle_shift
from .linear_maps import Linear, axis_linear, is_channels_last, linear
from .mlp import ChannelMLP
from .norm import CentredLayerNorm2d, LayerNorm, LayerNorm2d
from .patch_embed import OverlapPatchEmbed, PatchEmbed
from .recording import is_recording
from .resampling import resampling_matrix, upsample
from .shift import IDENTITY_SHIFT, SS1, SS2, Direction, check_directions, spatial_shift
from .shifted_maps import shift_counts, shifted_gelu, shifted_mean, shifted_sum
from .smlp import ConcatFusion, SparseMLP
from .split_attention import SplitAttention

__all__ = [
    "GELU",
    "IDENTITY_SHIFT",
    "SS1",
    "SS2",
    "AblatedSparseMLP",
    "AxialMixing",
    "CentredLayerNorm2d",
    "ChannelMLP",
    "ConcatFusion",
    "CycleFC",
    "Direction",
    "LayerNorm",
    "LayerNorm2d",
    "Linear",
    "Mean",
    "OverlapPatchEmbed",
    "PatchEmbed",
    "SparseMLP",
    "SplitAttention",
    "Sum",
    "WeightedSum",
    "axis_linear",
    "check_directions",
    "check_int",
    "check_ints",
    "check_positive",
    "checkpoint",
    "cycle_shift",
    "is_channels_last",
    "is_int",
    "is_recording",
    "linear",
    "recompute_gelu",
    "resampling_matrix",
    "resize_axial_map",
    "shift_counts",
    "shifted_gelu",
    "shifted_mean",
    "shifted_sum",
    "spatial_shift",
    "upsample",
]
