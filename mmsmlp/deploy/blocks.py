"""Blocks and networks as exported graphs hold them.

The network is not changed: export forms are made from trained modules, and compute the same in
another order. Tokens are ``(N, H, W, C)`` throughout. Then channel maps, norms and both axial maps
are products with their channels last, and only convolutions need a transposition.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmsmlp.models.backbones.pyramid import PyramidBackbone, Stage
from mmsmlp.models.backbones.s2mlp import S2MLPBlock
from mmsmlp.models.backbones.s2mlpv2 import S2MLPv2Block
from mmsmlp.models.backbones.smlpnet import SMLPBlock

from .mixing import SparseMLPForm, neighbours, shift_tokens
from .tokens import OfTokens, map_of, token_norm, tokens_of


class BlockForm(nn.Module):
    """A block of tokens.

    Args:
        block: The block of maps that it is of.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = OfTokens(block)

    def shared(self, x: Tensor) -> Any:
        """Values that depend only on the number of tokens, shared by all blocks of a stage."""
        return None

    def forward(self, x: Tensor, shared: Any) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        return self.block(x)


class SMLPBlockForm(BlockForm):
    """Of sMLPNet, with the second norm folded into the depthwise convolution."""

    def __init__(self, block: SMLPBlock) -> None:
        nn.Module.__init__(self)
        self.dwconv, self.smlp, norm2 = block.dwconv, None, None
        if block.smlp is not None:
            self.smlp, norm2 = SparseMLPForm(block.smlp), block.norm2
        if self.dwconv is None:
            self.norm1 = token_norm(norm2)
        else:
            self.norm1 = token_norm(block.norm1)
            if isinstance(norm2, _BatchNorm) and type(self.dwconv) is nn.Conv2d:
                self.dwconv, norm2 = fuse_conv_bn_eval(self.dwconv, norm2), None
            self.norm2 = norm2 or nn.Identity()
        self.norm3 = token_norm(block.norm3)
        self.mlp = block.mlp

    def shared(self, x: Tensor) -> Any:
        return None if self.smlp is None else self.smlp.resamplings(x)

    def forward(self, x: Tensor, shared: Any) -> Tensor:
        y = F.gelu(self.norm1(x))
        if self.dwconv is not None:
            y = self.dwconv(map_of(y))
            if self.smlp is not None:
                # Before the transposition, where a runtime can make it a part of the convolution.
                y = F.gelu(self.norm2(y))
            y = tokens_of(y)
        if self.smlp is not None:
            y = self.smlp(y, shared)
        x = x + y
        return x + self.mlp(self.norm3(x))


class S2MLPBlockForm(BlockForm):
    """Of S²-MLP."""

    def __init__(self, block: S2MLPBlock) -> None:
        nn.Module.__init__(self)
        self.shift_mlp, self.mlp = block.shift_mlp, block.mlp
        self.norm1, self.norm2 = token_norm(block.norm1), token_norm(block.norm2)

    def shared(self, x: Tensor) -> Any:
        return neighbours(x)

    def forward(self, x: Tensor, shared: Any) -> Tensor:
        # The shift treats every value alike, and behind the product a GELU is a part of it.
        y = shift_tokens(F.gelu(self.shift_mlp.fc1(x)), self.shift_mlp.directions, shared)
        x = x + self.norm1(self.shift_mlp.fc2(y))
        return x + self.norm2(self.mlp(x))


class S2MLPv2BlockForm(BlockForm):
    """Of S²-MLPv2."""

    def __init__(self, block: S2MLPv2Block) -> None:
        nn.Module.__init__(self)
        self.s2, self.mlp = block.s2, block.mlp
        self.norm1, self.norm2 = token_norm(block.norm1), token_norm(block.norm2)

    def shared(self, x: Tensor) -> Any:
        return neighbours(x)

    def forward(self, x: Tensor, shared: Any) -> Tensor:
        maps = self.s2.fc1(self.norm1(x)).chunk(len(self.s2.shifts), dim=3)
        maps = [shift_tokens(y, s, shared) for y, s in zip(maps, self.s2.shifts, strict=True)]
        weights = self.s2.fusion(sum(maps[1:], maps[0]).mean(dim=(1, 2))).unbind(dim=1)
        parts = [y * w[:, None, None] for y, w in zip(maps, weights, strict=True)]
        x = x + self.s2.fc2(sum(parts[1:], parts[0]))
        return x + self.mlp(self.norm2(x))


FORMS = {SMLPBlock: SMLPBlockForm, S2MLPBlock: S2MLPBlockForm, S2MLPv2Block: S2MLPv2BlockForm}


class StageForm(nn.Module):
    """A stage of tokens.

    Args:
        stage: The stage of maps that it is of.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        embed, *norms = (
            stage.patch_embed
            if isinstance(stage.patch_embed, nn.Sequential)
            else [stage.patch_embed]
        )
        self.embed = None if isinstance(embed, nn.Identity) else embed
        self.norms = nn.Sequential(*map(token_norm, norms))
        self.blocks = nn.ModuleList(FORMS.get(type(b), BlockForm)(b) for b in stage.blocks)

    def forward(self, x: Tensor, is_map: bool) -> Tensor:
        """(N, H, W, C_in), or (N, C_in, H, W) if it is a map, -> (N, ⌈H/p⌉, ⌈W/p⌉, C)."""
        if self.embed is not None:
            x = self.embed(x if is_map else map_of(x))
        x = self.norms(tokens_of(x) if self.embed is not None or is_map else x)
        shared = self.blocks[0].shared(x)
        for block in self.blocks:
            x = block(x, shared)
        return x


def multiple(side: int, divisor: int) -> int:
    """The least multiple that is not below a side."""
    # Of negative numbers, ONNX divides towards zero.
    return (side + divisor - 1) // divisor * divisor


class PyramidForm(nn.Module):
    """A backbone that looks at no values: its images are alone, and not padded.

    Args:
        network: The backbone, in evaluation mode.
        divisor: The maps are those of images padded to multiples of it: as in `run_cropped`, their
            last row and column are replicated.
    """

    def __init__(self, network: PyramidBackbone, divisor: int = 1) -> None:
        super().__init__()
        self.out_indices = network.out_indices
        self.strides = dict(zip(network.out_indices, network.strides, strict=True))
        self.divisor = divisor
        self.stages = nn.ModuleList(map(StageForm, network.stages))
        self.norms = nn.ModuleDict(
            {str(i): token_norm(getattr(network, f"norm{i}")) for i in network.out_indices}
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """As :meth:`~mmsmlp.models.backbones.pyramid.PyramidBackbone.forward`."""
        outputs = {}
        padded = [multiple(side, self.divisor) for side in x.shape[2:]]
        for i, stage in enumerate(self.stages):
            x = stage(x, is_map=i == 0)
            if i in self.out_indices:
                y = self.norms[str(i)](x)
                if self.divisor > 1:
                    for axis, side in enumerate(padded, 1):
                        y = extend(y, axis, multiple(side, self.strides[i]) // self.strides[i])
                outputs[i] = map_of(y).contiguous()
        return tuple(outputs[i] for i in self.out_indices)


def extend(x: Tensor, axis: int, length: int) -> Tensor:
    """Replicate the last tokens of an axis of (N, H, W, C)."""
    index = torch.arange(length, device=x.device).clamp(max=x.shape[axis] - 1)
    return x.index_select(axis, index)
