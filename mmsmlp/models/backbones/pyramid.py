"""The base class of all backbones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate
from numbers import Real
from operator import mul

import numpy as np
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsmlp.checkpoints import matched_pretrained
from mmsmlp.models.layers import (
    PatchEmbed,
    check_int,
    checkpoint,
    is_int,
    is_recording,
    recompute_gelu,
)

from .padding import is_sharded, run_cropped
from .settings import resolve_out_indices, resolve_training_padding

# Makes a block from the index of its stage and its drop path rate.
BlockFactory = Callable[[int, float], nn.Module]
# Makes a patch embedding from its channels in and out and the side of a patch.
PatchEmbedFactory = Callable[[int, int, int], nn.Module]
# Makes a norm from its channels.
NormFactory = Callable[[int], nn.Module]


class Stage(nn.Module):
    """Patch embedding (or merging, or nothing), then blocks that keep the size."""

    def __init__(self, patch_embed: nn.Module, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.patch_embed = patch_embed
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, with_cp: bool = False) -> Tensor:
        """(N, C_in, H, W) -> (N, C, ⌈H/p⌉, ⌈W/p⌉)."""
        x = self.patch_embed(x)
        run = checkpoint if with_cp and torch.is_grad_enabled() else recompute_gelu
        for block in self.blocks:
            x = run(block, x)
        return x


class PyramidBackbone(BaseModule):
    """Stages of blocks, with outputs for dense prediction.

    Stages deeper than the last output are not built, and each output has its own norm, so that
    every parameter is used in every step (distributed training needs this).

    In inference the features of an image do not depend on its batch: padding is cropped
    (:func:`~mmsmlp.models.backbones.padding.run_cropped`).

    Args:
        block: Makes a block from the index of its stage and its drop path rate.
        patch_embed: Makes a patch embedding or merging.
        output_norm: Makes the norm of an output.
        embed_dims: Channels of each stage.
        depths: Blocks of each stage.
        patch_sizes: Side of the patches that each stage embeds or merges; a stage of patch size
            1 and unchanged channels merges nothing.
        in_channels: Channels of the image.
        drop_path_rate: Of the last block; it grows linearly from zero at the first.
        out_indices: Stages to return, in this order; negative ones counting from the end; all if
            not given.
        frozen_stages: Number of frozen stages, with their output norms: -1 none, 0 the stem (the
            patch embedding of the first stage), k the stem and the first k stages.
        norm_eval: Whether batch norms keep their statistics while training.
        with_cp: Whether blocks recompute their activations in the backward pass.
        training_padding: Treatment of padding in training: ``'include'``, it is a part of the
            image; ``'crop'``, it is cropped as in inference, which batch norms that learn do not
            allow.
        init_cfg: Initialisation, as mmengine has it; pretrained weights are loaded by
            :class:`~mmsmlp.checkpoints.Pretrained`.
        pretrained: Checkpoint, as mmseg's models name one; ``init_cfg`` does the same.

    Attributes:
        channels: Channels of each output.
        strides: Stride of each output in pixels.

    Raises:
        TypeError: If an argument is of another type; the message names it.
        ValueError: If an argument is out of its range, likewise.
    """

    def __init__(
        self,
        block: BlockFactory,
        *,
        patch_embed: PatchEmbedFactory = PatchEmbed,
        output_norm: NormFactory,
        embed_dims: Sequence[int],
        depths: Sequence[int],
        patch_sizes: Sequence[int],
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        training_padding: str = "include",
        init_cfg: dict | list[dict] | None = None,
        pretrained: str | None = None,
    ) -> None:
        if pretrained is not None:
            configs = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
            init_cfg = [*filter(None, configs), dict(type="Pretrained", checkpoint=pretrained)]
        super().__init__(init_cfg)
        check_int("in_channels", in_channels)
        if not (isinstance(drop_path_rate, Real) and 0 <= drop_path_rate < 1):
            raise ValueError(f"drop_path_rate must be in [0, 1), got {drop_path_rate}")
        self.in_channels = in_channels
        self.depths = tuple(depths)
        if out_indices is None:
            out_indices = range(len(depths))
        self.out_indices = resolve_out_indices(out_indices, len(depths))
        num_stages = max(self.out_indices) + 1
        if not (is_int(frozen_stages) and -1 <= frozen_stages <= num_stages):
            raise ValueError(
                f"frozen_stages must be in [-1, {num_stages}] (-1: none, 0: the stem, k: the stem "
                f"and the first k of the {num_stages} stages in use), got {frozen_stages}"
            )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.training_padding = resolve_training_padding(training_padding)
        self.patch_sizes = tuple(patch_sizes)

        drop_rates = iter(np.linspace(0, drop_path_rate, sum(depths)).tolist())
        self.stages = nn.ModuleList()
        for i in range(num_stages):
            if patch_sizes[i] == 1 and in_channels == embed_dims[i]:
                embed = nn.Identity()
            else:
                embed = patch_embed(in_channels, embed_dims[i], patch_sizes[i])
            blocks = [block(i, next(drop_rates)) for _ in range(depths[i])]
            self.stages.append(Stage(embed, blocks))
            in_channels = embed_dims[i]
        for i in self.out_indices:
            self.add_module(f"norm{i}", output_norm(embed_dims[i]))

        strides = list(accumulate(patch_sizes, mul))
        self.channels = [embed_dims[i] for i in self.out_indices]
        self.strides = [strides[i] for i in self.out_indices]
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract features.

        Args:
            x: ``(N, in_channels, H, W)``, of any height and width from 1 on.

        Returns:
            One map per entry of ``out_indices``, ``(N, channels[k], ⌈H/s⌉, ⌈W/s⌉)`` with
            ``s = strides[k]``; where padding is cropped, the borders of images are replicated over
            it.

        Raises:
            TypeError: If ``x`` is no tensor of floating-point numbers.
            ValueError: If it has another number of dimensions or channels, or no pixel, or if
                padding must be cropped in training while batch norms learn.
        """
        if not (isinstance(x, Tensor) and x.is_floating_point()):
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"x must be a tensor of floating-point numbers, got {kind}")
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"x must be (N, {self.in_channels}, H, W), as in_channels={self.in_channels} "
                f"says, got {tuple(x.shape)}"
            )
        if 0 in x.shape[2:]:
            raise ValueError(f"x must have a pixel at least, got {tuple(x.shape)}")
        if self._crops_padding(x):
            maps = run_cropped(self._run_stages, x, self.strides)
        else:
            maps = self._run_stages(x)
        norms = [getattr(self, f"norm{i}") for i in self.out_indices]
        # RoIAlign of mmcv takes any memory for contiguous, and computes nonsense from a map with
        # channels last.
        return tuple(norm(y).contiguous() for norm, y in zip(norms, maps, strict=True))

    def _run_stages(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> the maps of ``out_indices``, without their norms."""
        maps = {}
        for i, stage in enumerate(self.stages):
            x = stage(x, self.with_cp)
            if i in self.out_indices:
                maps[i] = x
        return [maps[i] for i in self.out_indices]

    def _crops_padding(self, x: Tensor) -> bool:
        if x.is_meta or is_recording() or (self.training and self.training_padding == "include"):
            return False
        if self.training and any(
            isinstance(module, _BatchNorm) and module.training for module in self.stages.modules()
        ):
            raise ValueError(
                "training_padding must be 'include' where batch norms learn (norm_eval=True lets "
                "them not), got 'crop'"
            )
        if is_sharded(self):
            # Ranks would wait for each other, each for as many passes as its images have sizes.
            warnings.warn("padding is not cropped: weights are sharded", stacklevel=3)
            return False
        return True

    def init_weights(self) -> None:
        """Initialise by ``init_cfg``.

        Raises:
            CheckpointError: If pretrained weights do not arrive.
        """
        self.init_cfg = matched_pretrained(self.init_cfg)
        super().init_weights()

    def train(self, mode: bool = True) -> PyramidBackbone:
        """Set the mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        frozen = [self.stages[0].patch_embed]
        for i in range(self.frozen_stages):
            frozen.append(self.stages[i])
            if i in self.out_indices:
                frozen.append(getattr(self, f"norm{i}"))
        for module in frozen:
            module.eval().requires_grad_(False)

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Where a parameter sits, for layer-wise learning-rate decay.

        Args:
            param_name: Name of the parameter, with ``prefix``.
            prefix: Prefix of this module's names in the model.

        Returns:
            The layer's id and the number of layers: 0 is the stem, then a block each (a patch
            merging belongs to the block after it); output norms and everything outside of this
            module are the last.
        """
        num_layers = sum(self.depths[: len(self.stages)]) + 2
        parts = param_name.removeprefix(prefix).split(".")
        if not param_name.startswith(prefix) or parts[0] != "stages":
            return num_layers - 1, num_layers
        stage, part = int(parts[1]), parts[2]
        first = 1 + sum(self.depths[:stage])
        if part == "patch_embed":
            return (first if stage else 0), num_layers
        return first + int(parts[3]), num_layers
