"""sMLPNet, the network of arXiv 2109.05422.

*Sparse MLP for Image Recognition: Is Self-Attention Really Necessary?*, AAAI 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any

from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.logging import print_log
from torch import Tensor, nn

from mmsmlp.models.layers import (
    AXIAL_MODES,
    GELU,
    AxialMixing,
    ChannelMLP,
    Extents,
    SparseMLP,
    add,
    add_branch,
    check_wholes,
    conv_norm,
    image_norm,
    is_lean,
)
from mmsmlp.registry import MODELS

from .pyramid import PyramidBackbone
from .settings import native_grids, resolve_arch


class SMLPBlock(nn.Module):
    """Token mixing, then channel mixing, each with a residual (arXiv 2109.05422, figure 2).

    Args:
        channels: Number of channels C.
        grid: Native (height, width) of the map, in tokens.
        mlp_ratio: Expansion α of the channel MLP.
        drop_path: Rate at which a sample skips either residual branch.
        norm_cfg: Norm of the token mixing.
        dwconv: Whether tokens are mixed locally.
        smlp_cfg: Further arguments of the sMLP, see `SparseMLP`; tokens are
            not mixed globally if it is None.
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        mlp_ratio: float,
        drop_path: float,
        norm_cfg: dict,
        dwconv: bool,
        smlp_cfg: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        self.dwconv = self.smlp = None
        if dwconv:
            self.norm1 = _norm(norm_cfg, channels)
            self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        if smlp_cfg is not None:
            self.norm2 = _norm(norm_cfg, channels)
            self.smlp = SparseMLP(channels, grid, **smlp_cfg)
        self.norm3 = nn.LayerNorm(channels)
        self.mlp = ChannelMLP(channels, mlp_ratio)
        self.act = GELU()
        self.drop_path = DropPath(drop_path)

    def token_mixing(self, x: Tensor, lean: bool, extents: Extents | None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W): a local depthwise convolution, then the global sMLP."""
        # Zero on padding, which a GELU leaves as it is.
        y = image_norm(self.norm2 if self.dwconv is None else self.norm1, x, extents)
        # What fuses norms may leave an identity in their place, and the input is not ours.
        inplace = lean and y is not x
        if self.smlp is None:
            return self.act.then(self.dwconv, y, inplace)
        if self.dwconv is not None:
            y = self.act.then(
                lambda y: conv_norm(y, self.dwconv, self.norm2, lean, extents), y, inplace
            )
        smlp = self.smlp if extents is None else partial(self.smlp, extents=extents)
        return self.act.then(smlp, y, inplace)

    def channel_mixing(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C), each token by itself."""
        return self.mlp(self.norm3(x))

    def forward(self, x: Tensor, extents: Extents | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        # As layer norm and channel MLP want it; all else is as fast with it or faster. (There is
        # no memory format in `torch.vmap`.)
        x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        lean = is_lean(self)
        x = add(x, self.drop_path(self.token_mixing(x, lean, extents)), lean)
        tokens = x.permute(0, 2, 3, 1)
        return add_branch(tokens, self.channel_mixing, self.drop_path, lean).permute(0, 3, 1, 2)


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
        in_channels: Channels of the image.
        out_indices: Stages to return, in this order; negative ones count from the end.
        drop_path_rate: Rate of the last block; the variant's if not given.
        frozen_stages: How many stages hold still, with their output norms: -1 none, 0 the stem,
            k the stem and the first k stages.
        norm_eval: Whether batch norms keep their statistics while training.
        with_cp: Whether blocks recompute their activations in the backward pass.
        norm_cfg: The batch norm of token mixing and outputs, e.g. ``dict(type='SyncBN')``.
        local_stages: Stages with the depthwise convolution; all if not given.
        global_stages: Stages with the sMLP; all if not given.
        smlp_cfg: Further arguments of the sMLP, see `SparseMLP`.
        axial_mode: What the axial maps do away from ``img_size``: ``'resample'``, ``'window'`` or
            ``'relative'``, see `AxialMixing`. May be changed at any time.
        training_padding: What padding is in training, see
            :class:`~mmsmlp.models.backbones.pyramid.PyramidBackbone`.
        init_cfg: Initialisation, as mmengine has it.
        pretrained: Checkpoint, as mmseg's models name one; ``init_cfg`` does the same.

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
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        drop_path_rate: float | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: Mapping[str, Any] = dict(type="BN"),
        local_stages: Sequence[int] | None = None,
        global_stages: Sequence[int] | None = None,
        smlp_cfg: Mapping[str, Any] = dict(),
        axial_mode: str = "resample",
        training_padding: str = "kept",
        init_cfg: dict | list[dict] | None = None,
        pretrained: str | None = None,
    ) -> None:
        arch = resolve_arch(arch, self.variants, required={"embed_dims", "depths", "mlp_ratio"})
        patch_sizes = arch.get("patch_sizes", [4] + [2] * (len(arch["depths"]) - 1))
        grids = native_grids(img_size, patch_sizes)
        stages = range(len(arch["depths"]))
        local_stages = stages if local_stages is None else local_stages
        global_stages = stages if global_stages is None else global_stages
        check_wholes("local_stages", local_stages, least=0)
        check_wholes("global_stages", global_stages, least=0)
        if {*local_stages, *global_stages} != set(stages):
            raise ValueError(
                f"local_stages and global_stages must together be all of 0 to {stages[-1]}, got "
                f"{list(local_stages)} and {list(global_stages)}"
            )
        if not isinstance(smlp_cfg, Mapping):
            raise TypeError(f"smlp_cfg must be a dict, got {smlp_cfg!r}")
        # Swin's way of letting windows exchange something: every other block shifts them.
        shifts = [cycle((False, True)) for _ in stages]
        if drop_path_rate is None:
            drop_path_rate = arch.get("drop_path_rate", 0.0)

        def block(stage: int, drop_path: float) -> SMLPBlock:
            return SMLPBlock(
                arch["embed_dims"][stage],
                grids[stage],
                arch["mlp_ratio"],
                drop_path,
                norm_cfg,
                dwconv=stage in local_stages,
                smlp_cfg=(
                    dict(smlp_cfg, shifted=next(shifts[stage])) if stage in global_stages else None
                ),
            )

        super().__init__(
            block,
            output_norm=lambda channels: _norm(norm_cfg, channels),
            in_channels=in_channels,
            embed_dims=arch["embed_dims"],
            depths=arch["depths"],
            patch_sizes=patch_sizes,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            training_padding=training_padding,
            init_cfg=init_cfg,
            pretrained=pretrained,
        )
        self.axial_mode = axial_mode

    @property
    def axial_mode(self) -> str:
        """What the axial maps do away from the native size; setting it touches no weight."""
        return self._axial_mode

    @axial_mode.setter
    def axial_mode(self, mode: str) -> None:
        if mode not in AXIAL_MODES:
            raise ValueError(f"axial_mode must be one of {AXIAL_MODES}, got {mode!r}")
        self._axial_mode = mode
        for module in self.modules():
            if isinstance(module, AxialMixing):
                module.mode = mode

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
