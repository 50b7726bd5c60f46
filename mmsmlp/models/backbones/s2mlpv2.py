"""S²-MLPv2, the network of arXiv 2108.01072.

*S²-MLPv2: Improved Spatial-Shift MLP Architecture for Vision*, 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

from mmcv.cnn.bricks import DropPath
from mmengine.logging import print_log
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from mmsmlp.models.layers import (
    IDENTITY_SHIFT,
    SS1,
    SS2,
    CentredLayerNorm2d,
    ChannelMLP,
    Direction,
    LayerNorm,
    Linear,
    Mean,
    PatchEmbed,
    SplitAttention,
    check_directions,
    check_ints,
    shifted_mean,
    shifted_sum,
)
from mmsmlp.registry import MODELS

from .pyramid import PyramidBackbone
from .settings import native_grids, resolve_arch

# Directions of each map.
Shifts = Sequence[Sequence[Direction]]


class S2Component(nn.Module):
    """Token mixing: expand, shift each part its own way, fuse (arXiv 2108.01072, eq. 6 to 10).

    Args:
        channels: Number of channels c.
        fusion: Fuses the shifted maps into one.
        shifts: Directions of each map, see :func:`~mmsmlp.models.layers.spatial_shift`.
    """

    def __init__(self, channels: int, fusion: nn.Module, shifts: Shifts) -> None:
        super().__init__()
        self.shifts = shifts
        self.fc1 = Linear(channels, len(shifts) * channels)
        self.fusion = fusion
        self.fc2 = Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        maps = self.fc1(x)
        weights = self.fusion(shifted_mean(maps, self.shifts))  # split attention
        return self.fc2(shifted_sum(maps, weights, self.shifts))


class S2MLPv2Block(nn.Module):
    """S² component, then channel MLP, each on a layer norm and with a residual.

    Args:
        channels: Number of channels c.
        fusion: Fuses the shifted maps into one.
        shifts: Directions of each map.
        mlp_ratio: Expansion of the channel MLP.
        drop_path: Rate at which a sample skips either residual branch.
    """

    def __init__(
        self, channels: int, fusion: nn.Module, shifts: Shifts, mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels)
        self.s2 = S2Component(channels, fusion, shifts)
        self.norm2 = LayerNorm(channels)
        self.mlp = ChannelMLP(channels, mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        x = x.permute(0, 2, 3, 1)
        x = x + self.drop_path(self.s2(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x.permute(0, 3, 1, 2)


@WEIGHT_INITIALIZERS.register_module()
class IdentityBlocks:
    """Zeroes the last layer of each residual branch: blocks begin as the identity."""

    def __call__(self, network: nn.Module) -> None:
        """Initialise the blocks in ``network``."""
        for block in network.modules():
            if isinstance(block, S2MLPv2Block):
                nn.init.zeros_(block.s2.fc2.weight)
                nn.init.zeros_(block.mlp.fc2.weight)


# Other layers keep the variance of their input.
INIT = (
    dict(
        type="Kaiming",
        layer=["Conv2d", "Linear"],
        mode="fan_in",
        nonlinearity="linear",
        distribution="normal",
    ),
    dict(type="IdentityBlocks"),
)


FOUR_LEVELS = dict(embed_dims=(64, 128, 320, 512), patch_sizes=(4, 2, 2, 2), mlp_ratio=4)


@MODELS.register_module()
class S2MLPv2(PyramidBackbone):
    """S²-MLPv2 as a backbone for images of any size.

    No weight depends on the size of the image: split attention weighs by the mean over tokens.
    Weights of the paper's form, made for their sum, load as well
    (:class:`~mmsmlp.models.layers.SplitAttention`).

    Args:
        arch: ``'small/7'``, ``'medium/7'`` or ``'small/14'`` (table 1 of the paper: two levels at
            strides 7 and 14, or both at 14), ``'small/4'`` or ``'medium/4'`` (the four-level
            pyramid that its authors leave to future work), or a dict of ``embed_dims``,
            ``depths``, ``patch_sizes`` and ``mlp_ratio``.
        img_size: Height and width in pixels (or one for both) of the images that weights of the
            paper's form were trained on.
        shifts: Directions of each map of the S² component: the paper's two shifts, and none.
        fusion: How the shifted maps become one, ``'split_attention'`` or ``'mean'``.
        drop_path_rate: Rate of the last block.
        init_cfg: Initialisation in mmengine's format. The default is normal and keeps the variance
            of a layer's input; blocks start as the identity.
        options: The options of all backbones, see
            :class:`~mmsmlp.models.backbones.pyramid.PyramidBackbone`.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Examples:
        >>> backbone = S2MLPv2("small/4")
        >>> [tuple(y.shape) for y in backbone(torch.rand(2, 3, 97, 61))]
        [(2, 64, 25, 16), (2, 128, 13, 8), (2, 320, 7, 4), (2, 512, 4, 2)]
    """

    variants = {
        "small/7": dict(embed_dims=(192, 384), depths=(4, 14), patch_sizes=(7, 2), mlp_ratio=3),
        "medium/7": dict(embed_dims=(256, 512), depths=(7, 17), patch_sizes=(7, 2), mlp_ratio=3),
        "small/14": dict(embed_dims=(384, 384), depths=(4, 14), patch_sizes=(14, 1), mlp_ratio=3),
        "small/4": dict(FOUR_LEVELS, depths=(2, 3, 10, 3)),
        "medium/4": dict(FOUR_LEVELS, depths=(3, 8, 27, 3)),
    }

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "small/4",
        img_size: int | tuple[int, int] = 224,
        shifts: Shifts = (SS1, SS2, IDENTITY_SHIFT),
        fusion: str = "split_attention",
        drop_path_rate: float = 0.1,
        init_cfg: dict | list[dict] | None = None,
        **options: Any,
    ) -> None:
        arch = resolve_arch(arch, self.variants)
        if not isinstance(shifts, Sequence) or not shifts:
            raise ValueError(f"shifts must be the directions of one map or more, got {shifts!r}")
        for directions in shifts:
            check_directions("shifts", directions)
        if fusion not in ("split_attention", "mean"):
            raise ValueError(f"fusion must be 'split_attention' or 'mean', got {fusion!r}")
        if fusion == "split_attention":  # a quarter of the channels is its hidden layer
            check_ints("embed_dims", arch["embed_dims"], minimum=4)
        mlp_ratio = arch.pop("mlp_ratio")
        num_tokens = [prod(grid) for grid in native_grids(img_size, arch["patch_sizes"])]

        def block(stage: int, drop_path: float) -> S2MLPv2Block:
            channels, fuse = arch["embed_dims"][stage], Mean(len(shifts))
            if fusion == "split_attention":
                fuse = SplitAttention(channels, len(shifts), num_tokens[stage])
            return S2MLPv2Block(channels, fuse, shifts, mlp_ratio, drop_path)

        super().__init__(
            block,
            patch_embed=partial(PatchEmbed, bias=True),
            output_norm=CentredLayerNorm2d,
            drop_path_rate=drop_path_rate,
            init_cfg=list(INIT) if init_cfg is None else init_cfg,
            **arch,
            **options,
        )

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        sum_pooled = sum(
            isinstance(module, SplitAttention) and module.is_sum_pooled(state_dict, f"{name}.")
            for name, module in self.named_modules(prefix=prefix.removesuffix("."))
        )
        if sum_pooled:
            print_log(
                f"Rescaling {sum_pooled} split attentions of the checkpoint from the sum over "
                "tokens, as in the paper, to their mean",
                logger="current",
            )
        super()._load_from_state_dict(state_dict, prefix, *args)
