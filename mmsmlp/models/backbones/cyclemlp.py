"""CycleMLP, the network of arXiv 2107.10224.

*CycleMLP: A MLP-like Architecture for Dense Prediction*, ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmsmlp.models.layers import (
    ChannelMLP,
    CycleFC,
    LayerNorm2d,
    Linear,
    OverlapPatchEmbed,
    check_ints,
    check_positive,
)
from mmsmlp.registry import MODELS

from .pyramid import PyramidBackbone
from .settings import resolve_arch


class CycleMixing(nn.Module):
    """Two Cycle FCs and a linear layer, weighted channel by channel (section 3.3 of the paper).

    Args:
        channels: Number of channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.row = CycleFC(channels, dim=2)
        self.column = CycleFC(channels, dim=1)
        self.channel = Linear(channels, channels, bias=False)
        self.reweight = nn.Sequential(
            nn.Linear(channels, channels // 4), nn.GELU(), nn.Linear(channels // 4, 3 * channels)
        )
        self.proj = Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        maps = self.row(x), self.column(x), self.channel(x)
        weights = self.reweight(sum(y.mean(dim=(1, 2)) for y in maps))
        weights = weights.unflatten(1, (-1, 3)).softmax(dim=2).to(maps[0].dtype)
        row, column, channel = weights[:, None, None].unbind(dim=4)
        return self.proj(row * maps[0] + column * maps[1] + channel * maps[2])


class CycleMLPBlock(nn.Module):
    """Cycle mixing, then channel MLP, each on a layer norm and with a residual.

    Args:
        channels: Number of channels C.
        mlp_ratio: Expansion of the channel MLP.
        drop_path: Rate at which a sample skips either residual branch.
    """

    def __init__(self, channels: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.cycle = CycleMixing(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = ChannelMLP(channels, mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        x = x.permute(0, 2, 3, 1)
        x = x + self.drop_path(self.cycle(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x.permute(0, 3, 1, 2)


def _variant(
    depths: Sequence[int],
    mlp_ratios: Sequence[float] = (4, 4, 4, 4),
    embed_dims: Sequence[int] = (64, 128, 320, 512),
) -> dict[str, Any]:
    return dict(
        embed_dims=embed_dims, depths=depths, patch_sizes=(4, 2, 2, 2), mlp_ratios=mlp_ratios
    )


@MODELS.register_module()
class CycleMLP(PyramidBackbone):
    """CycleMLP as a backbone for images of any size.

    No weight depends on the size of the image. The norm of the last output is the network's own
    final layer norm: global average pooling and a linear layer on it make the paper's classifier.

    Args:
        arch: ``'b1'`` to ``'b5'`` (table 1 of the paper), or a dict of ``embed_dims``, ``depths``,
            ``mlp_ratios`` (one per stage) and optionally ``patch_sizes`` (4, then 2s).
        drop_path_rate: Rate of the last block.
        init_cfg: Initialisation in mmengine's format. The default is truncated normals of 0.02 in
            linear layers, as in the authors' code.
        options: Those that all backbones have, see
            :class:`~mmsmlp.models.backbones.pyramid.PyramidBackbone`.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Examples:
        >>> backbone = CycleMLP("b1")
        >>> [tuple(y.shape) for y in backbone(torch.rand(2, 3, 97, 61))]
        [(2, 64, 25, 16), (2, 128, 13, 8), (2, 320, 7, 4), (2, 512, 4, 2)]
    """

    variants = {
        "b1": _variant(depths=(2, 2, 4, 2)),
        "b2": _variant(depths=(2, 3, 10, 3)),
        "b3": _variant(depths=(3, 4, 18, 3), mlp_ratios=(8, 8, 4, 4)),
        "b4": _variant(depths=(3, 8, 27, 3), mlp_ratios=(8, 8, 4, 4)),
        "b5": _variant(depths=(3, 4, 24, 3), embed_dims=(96, 192, 384, 768)),
    }

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "b2",
        drop_path_rate: float = 0.1,
        init_cfg: dict | list[dict] | None = None,
        **options: Any,
    ) -> None:
        arch = resolve_arch(arch, self.variants, optional=["patch_sizes"])
        channels, ratios = arch["embed_dims"], arch.pop("mlp_ratios")
        check_ints("embed_dims", channels, minimum=4)  # a quarter of them weighs the branches
        if not isinstance(ratios, Sequence) or len(ratios) != len(channels):
            raise ValueError(f"mlp_ratios must be {len(channels)}, one per stage, got {ratios!r}")
        for ratio in ratios:
            check_positive("mlp_ratios", ratio)
        if init_cfg is None:
            init_cfg = dict(type="TruncNormal", layer="Linear", std=0.02)
        super().__init__(
            lambda stage, drop_path: CycleMLPBlock(channels[stage], ratios[stage], drop_path),
            patch_embed=OverlapPatchEmbed,
            output_norm=LayerNorm2d,
            drop_path_rate=drop_path_rate,
            init_cfg=init_cfg,
            **{"patch_sizes": [4] + [2] * (len(channels) - 1), **arch},
            **options,
        )
