"""Token mixing as exported graphs hold it: products of matrices, and gathered rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmsmlp.models.layers import (
    AblatedSparseMLP,
    AxialMixing,
    ConcatFusion,
    Direction,
    SparseMLP,
    Sum,
    WeightedSum,
    resampling_matrix,
)
from mmsmlp.models.layers.shift import channel_groups

from .tokens import Scale


class Resampling(NamedTuple):
    """Of a line of tokens, to the native length and back."""

    down: Tensor
    up: Tensor


class AxialForm(nn.Module):
    """An axial map as two matrices, to the native length and back to the current one.

    Which lengths are above the native one makes no difference to it: one graph serves all.

    Args:
        axial: The map.
    """

    def __init__(self, axial: AxialMixing) -> None:
        super().__init__()
        self.axial = axial

    def resampling(self, length: int) -> Resampling:
        """Shared by all maps of a stage at a length."""
        native, dtype = self.axial.length, self.axial.weight.dtype
        device = self.axial.weight.device
        return Resampling(
            resampling_matrix(length, native, dtype, device),
            resampling_matrix(native, length, dtype, device),
        )

    def mix(self, x: Tensor, resampling: Resampling) -> Tensor:
        """(N, H, W, C) -> the same, of the native length along the axis."""
        return self.product(self.axial.weight @ resampling.down, x, self.axial.bias)

    def upsample(self, x: Tensor, resampling: Resampling) -> Tensor:
        """From the native length to the one that the line had."""
        return self.product(resampling.up, x)

    def length_of(self, x: Tensor) -> int:
        """Of the axis of tokens (N, H, W, C)."""
        return x.shape[self.axial.dim - 1]

    def product(self, matrix: Tensor, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """``matrix`` times the axis of tokens (N, H, W, C), which stay where they are."""
        if self.axial.dim == -1:
            y = matrix @ x
            return y if bias is None else y + bias[:, None]
        y = matrix @ x.flatten(2)
        y = y if bias is None else y + bias[:, None]
        return y.unflatten(2, x.shape[2:])


def fusion_maps(fusion: nn.Module, num_maps: int) -> nn.ModuleList:
    """The part of a fusion before the addition, for tokens."""
    if type(fusion) is Sum:
        return nn.ModuleList(nn.Identity() for _ in range(num_maps))
    if type(fusion) is WeightedSum:
        return nn.ModuleList(Scale(weight) for weight in fusion.weight.chunk(num_maps))
    assert type(fusion) is ConcatFusion
    maps = nn.ModuleList()
    for weight in fusion.weight[:, :, 0, 0].chunk(num_maps, dim=1):
        maps.append(nn.Linear(*weight.shape, bias=False))
        maps[-1].weight.data = weight.detach().contiguous()
    return maps


class SparseMLPForm(nn.Module):
    """sMLP, each branch fused at its native length and brought back last.

    Args:
        smlp: The layer.
    """

    def __init__(self, smlp: SparseMLP) -> None:
        super().__init__()
        axials = [AxialForm(smlp.row), AxialForm(smlp.column)]
        ablated = isinstance(smlp, AblatedSparseMLP)
        branches = [axials] if ablated and smlp.sequential else [[axial] for axial in axials]
        self.identity = not ablated or smlp.identity
        self.branches = nn.ModuleList(map(nn.ModuleList, branches))
        self.maps = fusion_maps(smlp.fuse, len(branches) + self.identity)

    def resamplings(self, x: Tensor) -> dict[int, Resampling]:
        """By axis, for all layers of a stage."""
        axials = [axial for branch in self.branches for axial in branch]
        return {a.axial.dim: a.resampling(a.length_of(x)) for a in axials}

    def forward(self, x: Tensor, resamplings: dict[int, Resampling]) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        maps = list(self.maps)
        parts = [maps.pop(0)(x)] if self.identity else []
        for branch, fuse in zip(self.branches, maps, strict=True):
            y = x
            for axial in branch:
                y = axial.mix(y, resamplings[axial.axial.dim])
            y = fuse(y)
            for axial in branch:
                y = axial.upsample(y, resamplings[axial.axial.dim])
            parts.append(y)
        return sum(parts[1:], parts[0])


class Neighbours(NamedTuple):
    """Of each row and column: which one moves into its place, by steps of -1 and 1."""

    rows: dict[int, Tensor]
    columns: dict[int, Tensor]


def neighbours(x: Tensor) -> Neighbours:
    """Of tokens (N, H, W, C)."""

    def of(length: int) -> dict[int, Tensor]:
        index = torch.arange(length, device=x.device)
        return {step: (index - step).clamp(0, length - 1) for step in (-1, 1)}

    return Neighbours(of(x.shape[1]), of(x.shape[2]))


def shift_tokens(x: Tensor, directions: Sequence[Direction], of: Neighbours) -> Tensor:
    """:func:`~mmsmlp.models.layers.spatial_shift` of tokens (N, H, W, C) by one."""
    if not directions:
        return x
    parts = []
    for group, (down, right) in channel_groups(directions, x.shape[3]):
        if group.start == group.stop:
            continue
        part = x[..., group]
        # One gathered axis costs a tenth of slices and their concatenation in OpenVINO.
        if down:
            part = part.index_select(1, of.rows[down])
        if right:
            part = part.index_select(2, of.columns[right])
        parts.append(part)
    return torch.cat(parts, dim=3)
