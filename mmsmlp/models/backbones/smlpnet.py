"""sMLPNet, the network of arXiv 2109.05422.

*Sparse MLP for Image Recognition: Is Self-Attention Really Necessary?*, AAAI 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.logging import print_log
from torch import Tensor, nn

from mmsmlp.models.layers import (
    GELU,
    AblatedSparseMLP,
    AxialMixing,
    ChannelMLP,
    LayerNorm,
    SparseMLP,
    check_ints,
)
from mmsmlp.registry import MODELS

from .pyramid import PyramidBackbone
from .settings import native_grids, resolve_arch


class SMLPBlock(nn.Module):
    """Token mixing, then channel mixing, each with a residual (arXiv 2109.05422, figure 2).

    Args:
        channels: Number of channels C.
        mlp_ratio: Expansion α of the channel MLP.
        drop_path: Rate at which a sample skips either residual branch.
        norm_cfg: Norm of the token mixing.
        dwconv: Whether tokens are mixed locally.
        smlp: The sMLP; tokens are not mixed globally if it is None.
    """

    def __init__(
        self,
        channels: int,
        mlp_ratio: float,
        drop_path: float,
        norm_cfg: dict,
        dwconv: bool,
        smlp: SparseMLP | None,
    ) -> None:
        super().__init__()
        self.dwconv = self.smlp = None
        if dwconv:
            self.norm1 = _norm(norm_cfg, channels)
            self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        if smlp is not None:
            self.norm2 = _norm(norm_cfg, channels)
            self.smlp = smlp
        self.norm3 = LayerNorm(channels)
        self.mlp = ChannelMLP(channels, mlp_ratio)
        self.act = GELU()
        self.drop_path = DropPath(drop_path)

    def token_mixing(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W): a local depthwise convolution, then the global sMLP."""
        if self.dwconv is not None:
            x = self.dwconv(self.act(self.norm1(x)))
        if self.smlp is not None:
            x = self.smlp(self.act(self.norm2(x)))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), in the memory format of ``x``."""
        x = x + self.drop_path(self.token_mixing(x))
        y = self.mlp(self.norm3(x.permute(0, 2, 3, 1)))
        return x + self.drop_path(y.permute(0, 3, 1, 2))


def _norm(norm_cfg: Mapping[str, Any], channels: int) -> nn.Module:
    try:
        return build_norm_layer(norm_cfg, channels)[1]
    except (AssertionError, KeyError, TypeError) as error:
        raise ValueError(f"norm_cfg must make a norm, got {norm_cfg!r}: {error}") from error


@MODELS.register_module()
class SMLPNet(PyramidBackbone):
    """sMLPNet as a backbone for images of any size.

    The network holds linear maps for the rows and columns of an image of ``img_size``; at that
    size it is the paper's, elsewhere the maps are resampled (`AxialMixing`).
    The norm of the last output is the network's own final batch norm: global average pooling and
    a linear layer on it make the paper's classifier.

    Args:
        arch: ``'tiny'``, ``'small'`` or ``'base'`` (table 1 of the paper), or a dict of
            ``embed_dims``, ``depths``, ``mlp_ratio`` and optionally ``patch_sizes`` (4, then 2s)
            and ``drop_path_rate``.
        img_size: Height and width in pixels (or one for both) of the image whose axial maps the
            network holds.
        drop_path_rate: Rate of the last block; the variant's if not given.
        norm_cfg: The batch norm of token mixing and outputs, e.g. ``dict(type='SyncBN')``.
        local_stages: Stages with the depthwise convolution; all if not given.
        global_stages: Stages with the sMLP; all if not given.
        smlp_cfg: Another sMLP, see :class:`~mmsmlp.models.layers.AblatedSparseMLP`.
        axial_mode: ``'resample'``, in configs of earlier releases, which had others as well.
        options: Those that all backbones have, see
            :class:`~mmsmlp.models.backbones.pyramid.PyramidBackbone`.

    Raises:
        ValueError: If an argument is out of its range; the message names it.

    Examples:
        >>> backbone = SMLPNet("tiny")
        >>> [tuple(y.shape) for y in backbone(torch.rand(2, 3, 97, 61))]
        [(2, 80, 25, 16), (2, 160, 13, 8), (2, 320, 7, 4), (2, 640, 4, 2)]
    """

    variants = {
        "tiny": dict(
            embed_dims=(80, 160, 320, 640),
            depths=(2, 8, 14, 2),
            patch_sizes=(4, 2, 2, 2),
            mlp_ratio=3,
            drop_path_rate=0.0,
        ),
        "small": dict(
            embed_dims=(96, 192, 384, 768),
            depths=(2, 10, 24, 2),
            patch_sizes=(4, 2, 2, 2),
            mlp_ratio=3,
            drop_path_rate=0.2,
        ),
        "base": dict(
            embed_dims=(112, 224, 448, 896),
            depths=(2, 10, 24, 2),
            patch_sizes=(4, 2, 2, 2),
            mlp_ratio=3,
            drop_path_rate=0.3,
        ),
    }

    def __init__(
        self,
        arch: str | Mapping[str, Any] = "tiny",
        img_size: int | tuple[int, int] = 224,
        drop_path_rate: float | None = None,
        norm_cfg: Mapping[str, Any] = dict(type="BN"),
        local_stages: Sequence[int] | None = None,
        global_stages: Sequence[int] | None = None,
        smlp_cfg: Mapping[str, Any] = dict(),
        axial_mode: str = "resample",
        **options: Any,
    ) -> None:
        arch = resolve_arch(arch, self.variants, optional=("patch_sizes", "drop_path_rate"))
        patch_sizes = arch.get("patch_sizes", [4] + [2] * (len(arch["depths"]) - 1))
        grids = native_grids(img_size, patch_sizes)
        stages = range(len(arch["depths"]))
        local_stages = stages if local_stages is None else local_stages
        global_stages = stages if global_stages is None else global_stages
        check_ints("local_stages", local_stages, minimum=0)
        check_ints("global_stages", global_stages, minimum=0)
        if {*local_stages, *global_stages} != set(stages):
            raise ValueError(
                f"local_stages and global_stages must together be all of 0 to {stages[-1]}, got "
                f"{list(local_stages)} and {list(global_stages)}"
            )
        if not isinstance(smlp_cfg, Mapping):
            raise TypeError(f"smlp_cfg must be a dict, got {smlp_cfg!r}")
        if axial_mode != "resample":
            raise ValueError(f"axial_mode must be 'resample', got {axial_mode!r}")
        if drop_path_rate is None:
            drop_path_rate = arch.get("drop_path_rate", 0.0)

        def block(stage: int, drop_path: float) -> SMLPBlock:
            channels, smlp = arch["embed_dims"][stage], None
            if stage in global_stages:
                make = AblatedSparseMLP if smlp_cfg else SparseMLP
                smlp = make(channels, grids[stage], **smlp_cfg)
            dwconv = stage in local_stages
            return SMLPBlock(channels, arch["mlp_ratio"], drop_path, norm_cfg, dwconv, smlp)

        super().__init__(
            block,
            output_norm=lambda channels: _norm(norm_cfg, channels),
            embed_dims=arch["embed_dims"],
            depths=arch["depths"],
            patch_sizes=patch_sizes,
            drop_path_rate=drop_path_rate,
            **options,
        )

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        lengths = [
            (len(bias), module.length)
            for name, module in self.named_modules(prefix=prefix.removesuffix("."))
            if isinstance(module, AxialMixing)
            and (bias := state_dict.get(f"{name}.bias")) is not None
            and len(bias) != module.length
        ]
        if lengths:
            changes = ", ".join(f"{old} to {new}" for old, new in dict.fromkeys(lengths))
            print_log(
                f"Resizing {len(lengths)} axial maps of the checkpoint to the native size of this "
                f"network; tokens of a line: {changes}",
                logger="current",
            )
        super()._load_from_state_dict(state_dict, prefix, *args)
