"""S²-MLP, the network of arXiv 2106.07477.

*S²-MLP: Spatial-Shift MLP Architecture for Vision*, WACV 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmsmlp.models.layers import (
    SS1,
    CentredLayerNorm2d,
    ChannelMLP,
    Direction,
    LayerNorm,
    LayerNorm2d,
    PatchEmbed,
    check_directions,
    shifted_gelu,
)
from mmsmlp.registry import MODELS

from .pyramid import PyramidBackbone
from .settings import resolve_arch


class ShiftMLP(ChannelMLP):
    """A channel MLP that shifts its hidden tokens, FC2(shift(GELU(FC1(x)))).

    Args:
        channels: Number of channels c, of the hidden layer too.
        directions: Of the shift, see :func:`~mmsmlp.models.layers.spatial_shift`.
    """

    def __init__(self, channels: int, directions: Sequence[Direction]) -> None:
        super().__init__(channels, mlp_ratio=1)
        self.directions = directions

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        return self.fc2(shifted_gelu(self.fc1(x), self.directions, self.act))


class S2MLPBlock(nn.Module):
    """Shift MLP, then channel MLP, each followed by a layer norm and with a residual.

    Source: arXiv 2106.07477, section 3.

    Args:
        channels: Number of channels c.
        directions: Of the shift.
        mlp_ratio: Expansion r of the channel MLP.
        drop_path: Rate at which a sample skips either residual branch.
    """

    def __init__(
        self, channels: int, directions: Sequence[Direction], mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        self.shift_mlp = ShiftMLP(channels, directions)
        self.norm1 = LayerNorm(channels)
        self.mlp = ChannelMLP(channels, mlp_ratio)
        self.norm2 = LayerNorm(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        x = x.permute(0, 2, 3, 1)
        x = x + self.drop_path(self.norm1(self.shift_mlp(x)))
        x = x + self.drop_path(self.norm2(self.mlp(x)))
        return x.permute(0, 3, 1, 2)


@MODELS.register_module()
class S2MLP(PyramidBackbone):
    """S²-MLP as a backbone for images of any size.

    The network is isotropic: every output has the stride of the patches. It is a pyramid whose
    stages are one block each and merge nothing.

    Args:
        arch: ``'wide'`` or ``'deep'`` (table 1 of the paper), or a dict of ``embed_dims``,
            ``depth``, ``patch_size`` and ``mlp_ratio``.
        out_indices: Blocks whose outputs to return, in this order; negative ones count from the
            end.
        directions: Of the shift in every block, see :func:`~mmsmlp.models.layers.spatial_shift`.
        training_padding: Treatment of padding in training, see
            :class:`~mmsmlp.models.backbones.pyramid.PyramidBackbone`. Cropped, this network reaches
            a higher AP (``docs/padding.md``).
        options: The options of all backbones, see
            :class:`~mmsmlp.models.backbones.pyramid.PyramidBackbone`.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Examples:
        >>> backbone = S2MLP("deep", out_indices=(11, 23, 35))
        >>> [tuple(y.shape) for y in backbone(torch.rand(2, 3, 97, 61))]
        [(2, 384, 7, 4), (2, 384, 7, 4), (2, 384, 7, 4)]
    """

    variants = {
        "wide": dict(embed_dims=768, depth=12, patch_size=16, mlp_ratio=4),
        "deep": dict(embed_dims=384, depth=36, patch_size=16, mlp_ratio=4),
    }

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "wide",
        out_indices: int | Sequence[int] = -1,
        directions: Sequence[Direction] = SS1,
        training_padding: str = "crop",
        **options: Any,
    ) -> None:
        arch = resolve_arch(arch, self.variants)
        check_directions("directions", directions)
        channels, depth = arch["embed_dims"], arch["depth"]

        def block(stage: int, drop_path: float) -> S2MLPBlock:
            return S2MLPBlock(channels, directions, arch["mlp_ratio"], drop_path)

        def patch_embed(in_channels: int, out_channels: int, patch_size: int) -> nn.Sequential:
            return nn.Sequential(
                PatchEmbed(in_channels, out_channels, patch_size, bias=True),
                LayerNorm2d(out_channels),
            )

        super().__init__(
            block,
            patch_embed=patch_embed,
            output_norm=CentredLayerNorm2d,
            embed_dims=[channels] * depth,
            depths=[1] * depth,
            patch_sizes=[arch["patch_size"]] + [1] * (depth - 1),
            out_indices=out_indices,
            training_padding=training_padding,
            **options,
        )
