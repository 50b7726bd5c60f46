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
    Extents,
    LayerNorm2d,
    PatchEmbed,
    add,
    add_branch,
    check_directions,
    check_straight,
    is_lean,
    spatial_shift,
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

    def forward(self, x: Tensor, extents: Extents | None = None) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        if extents is not None:
            # What moves in from beyond the image is then what was there.
            x = extents.extended(x)
        x = spatial_shift(self.fc1(x).permute(0, 3, 1, 2), self.directions)
        # The GELU treats every value alike, so it may come after the shift. Before it, its gradient
        # would arrive in another memory format, and torch 2.1 makes garbage of that on CPUs.
        return self.fc2(self.act(x.permute(0, 2, 3, 1)))


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
        self.norm1 = nn.LayerNorm(channels)
        self.mlp = ChannelMLP(channels, mlp_ratio)
        self.norm2 = nn.LayerNorm(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, extents: Extents | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        x = x.permute(0, 2, 3, 1).contiguous()
        lean = is_lean(self)
        x = add(x, self.drop_path(self.norm1(self.shift_mlp(x, extents))), lean)
        return add_branch(x, self.channel_mixing, self.drop_path, lean).permute(0, 3, 1, 2)

    def channel_mixing(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C), each token by itself."""
        return self.norm2(self.mlp(x))


@MODELS.register_module()
class S2MLP(PyramidBackbone):
    """S²-MLP as a backbone for images of any size.

    The network is isotropic: every output has the stride of the patches. It is a pyramid whose
    stages are one block each and merge nothing.

    Args:
        arch: ``'wide'`` or ``'deep'`` (table 1 of the paper), or a dict of ``embed_dims``,
            ``depth``, ``patch_size`` and ``mlp_ratio``.
        in_channels: Channels of the image.
        out_indices: Blocks whose outputs to return, in this order; negative ones count from the
            end.
        directions: Of the shift in every block, see :func:`~mmsmlp.models.layers.spatial_shift`.
        drop_path_rate: Rate of the last block.
        frozen_stages: How many blocks hold still, with their output norms: -1 none, 0 the stem,
            k the stem and the first k blocks.
        with_cp: Whether blocks recompute their activations in the backward pass.
        training_padding: What padding is in training, see
            :class:`~mmsmlp.models.backbones.pyramid.PyramidBackbone`. If not given,
            ``'left_out'``, with which this network reaches a higher AP (``docs/padding.md``), or
            ``'kept'`` if a direction is diagonal.
        init_cfg: Initialisation, as mmengine has it.
        pretrained: Checkpoint, as mmseg's models name one; ``init_cfg`` does the same.

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
        in_channels: int = 3,
        out_indices: int | Sequence[int] = -1,
        directions: Sequence[Direction] = SS1,
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool = False,
        training_padding: str | None = None,
        init_cfg: dict | list[dict] | None = None,
        pretrained: str | None = None,
    ) -> None:
        arch = resolve_arch(
            arch, self.variants, required={"embed_dims", "depth", "patch_size", "mlp_ratio"}
        )
        check_directions("directions", directions)
        if training_padding is None:
            training_padding = "kept" if any(map(all, directions)) else "left_out"
        if training_padding != "kept":
            check_straight(directions)
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
            in_channels=in_channels,
            embed_dims=[channels] * depth,
            depths=[1] * depth,
            patch_sizes=[arch["patch_size"]] + [1] * (depth - 1),
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            with_cp=with_cp,
            training_padding=training_padding,
            init_cfg=init_cfg,
            pretrained=pretrained,
        )
