"""Weighted sums of shifted maps and their means, without shifting a map."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .activation import GELU
from .mlp import has_forward_hooks
from .precision import without_autocast
from .recording import build_once, is_recording
from .shift import Direction, channel_groups, spatial_shift
from .shift_operator import can_fuse, fused_shift

Shift = Sequence[Direction]
Index = tuple[Any, ...]


def shifted_sum(maps: Tensor, weights: Tensor, shifts: Sequence[Shift]) -> Tensor:
    r"""The weighted sum of shifted maps, :math:`\sum_k w_k \odot \mathrm{shift}_k(x_k)`.

    Tokens are shifted while they are added: no shifted map is made, or stored for the backward
        pass.

    Args:
        maps: ``(N, H, W, K·C)``, K maps one after the other.
        weights: ``(N, K, C)``, of each map and channel.
        shifts: Directions of each map, see :func:`~mmsmlp.models.layers.spatial_shift`.

    Returns:
        ``(N, H, W, C)``.
    """
    if can_fuse(maps):
        return fused_shift(maps, _table(_hashable(shifts), maps), weights)
    maps, weights = maps.permute(0, 3, 1, 2), weights.to(maps.dtype)
    if is_recording():
        y = _sum_of_shifted(maps, weights, shifts)
    else:
        y = _ShiftedSum.apply(maps, weights, _hashable(shifts))
    return y.permute(0, 2, 3, 1)


def shifted_mean(maps: Tensor, shifts: Sequence[Shift]) -> Tensor:
    r"""The mean over tokens of the sum of shifted maps, :math:`\sum_k \mathrm{shift}_k(x_k)`.

    A shift leaves some tokens of the border twice on a map and others not at all: its mean is that
    of the map with its tokens counted so often.

    Args:
        maps: ``(N, H, W, K·C)``, K maps one after the other.
        shifts: Directions of each map, see :func:`~mmsmlp.models.layers.spatial_shift`.

    Returns:
        ``(N, C)``, in single precision at least.
    """
    shifts = _hashable(shifts)
    directions = tuple(dict.fromkeys(d for shift in shifts for d in [*shift, (0, 0)]))
    height, width = maps.shape[1:3]
    counts = build_once(_scaled_counts, directions, height, width, maps.dtype, maps.device)
    moved = build_once(
        _moved_channels,
        *(shifts, directions, maps.shape[3] // len(shifts), 1024 / (height * width)),
        *(torch.promote_types(maps.dtype, torch.float32), maps.device),
    )
    with without_autocast(maps):
        sums = counts @ maps.flatten(1, 2)  # (N, D, K·C)
        means = sums * moved  # in single precision at least
    return means.unflatten(2, (len(shifts), -1)).sum(dim=(1, 2))


def shifted_gelu(x: Tensor, directions: Sequence[Direction], act: nn.Module) -> Tensor:
    """An activation of a shifted map.

    Args:
        x: ``(N, H, W, C)``.
        directions: See :func:`~mmsmlp.models.layers.spatial_shift`.
        act: A :class:`~mmsmlp.models.layers.GELU`.

    Returns:
        ``(N, H, W, C)``.
    """
    if can_fuse(x) and type(act) is GELU and not has_forward_hooks(act):
        return fused_shift(x, _table(_hashable([directions]), x), gelu=True)
    # It treats every value alike, so it may come after the shift. Before it, its gradient would
    # arrive in another memory format, and torch 2.1 computes wrong results from that on CPUs.
    return act(spatial_shift(x.permute(0, 3, 1, 2), directions).permute(0, 2, 3, 1))


def _table(shifts: tuple[Shift, ...], maps: Tensor) -> Tensor:
    return build_once(steps_of_channels, shifts, maps.shape[3] // len(shifts), maps.device)


def steps_of_channels(
    shifts: Sequence[Shift], channels: int, device: torch.device | None = None
) -> Tensor:
    """(K, 2, C), the steps down and to the right of each channel of each map."""
    steps = [
        torch.tensor(direction, dtype=torch.int32)[:, None].expand(2, group.stop - group.start)
        for shift in shifts
        for group, direction in channel_groups(shift, channels)
    ]
    return (
        torch.cat(steps, dim=1)
        .unflatten(1, (len(shifts), channels))
        .transpose(0, 1)
        .contiguous()
        .to(device)
    )


def _scaled_counts(
    directions: Sequence[Direction],
    height: int,
    width: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    # Half precision holds the counts, and the sums of millions of tokens as thousandths.
    return (shift_counts(directions, height, width, device) / 1024).to(dtype)


def shift_counts(
    directions: Sequence[Direction], height: int, width: int, device: torch.device | None = None
) -> Tensor:
    """How often the tokens of a map occur after a shift by one.

    Args:
        directions: D of them, see :func:`~mmsmlp.models.layers.spatial_shift`.
        height: H.
        width: W.
        device: Of the result.

    Returns:
        ``(D, H·W)``.
    """
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)

    def inside(down: int, right: int) -> Tensor:
        """Whether there is a token that many steps down and to the right."""
        return (
            (rows + down >= 0)
            & (rows + down < height)
            & (columns + right >= 0)
            & (columns + right < width)
        )

    # Once where it goes to, if that is on the map, and once if nothing moves into its place.
    return torch.stack(
        [inside(down, right).long() + ~inside(-down, -right) for down, right in directions]
    ).flatten(1)


def _moved_channels(
    shifts: Sequence[Shift],
    directions: Sequence[Direction],
    channels: int,
    value: float,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """(D, K·C), a value where a channel of a map moves in a direction and zero elsewhere."""
    one_hot = value * torch.eye(len(directions), dtype=dtype, device=device)
    groups = [group for shift in shifts for group in channel_groups(shift, channels)]
    columns = [
        one_hot[:, directions.index(direction), None].expand(-1, group.stop - group.start)
        for group, direction in groups
    ]
    return torch.cat(columns, dim=1)


def _hashable(shifts: Sequence[Shift]) -> tuple[Shift, ...]:
    return tuple(tuple(map(tuple, shift)) for shift in shifts)


def _sum_of_shifted(maps: Tensor, weights: Tensor, shifts: Sequence[Shift]) -> Tensor:
    parts = zip(maps.chunk(len(shifts), dim=1), weights.unbind(dim=1), shifts, strict=True)
    return sum(weight[..., None, None] * spatial_shift(x, shift) for x, weight, shift in parts)


class _ShiftedSum(torch.autograd.Function):
    """:func:`shifted_sum`, region by region."""

    @staticmethod
    def forward(ctx, maps: Tensor, weights: Tensor, shifts: tuple[Shift, ...]) -> Tensor:
        ctx.save_for_backward(maps, weights)
        ctx.shifts = shifts
        y = torch.empty_like(maps[:, : weights.shape[2]])
        for move in _moves(shifts, *y.shape[1:]):
            weight = weights[move.weight]
            for target, source in [move.moved, *move.kept]:
                if move.first:
                    torch.mul(maps[source], weight, out=y[target])
                else:
                    y[target].addcmul_(maps[source], weight)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        maps, weights = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second backward pass will follow
            y = _sum_of_shifted(maps, weights, ctx.shifts)
            return *torch.autograd.grad(y, (maps, weights), grad, create_graph=True), None
        grad_maps, grad_weights = torch.empty_like(maps), torch.zeros_like(weights)
        for move in _moves(ctx.shifts, *grad.shape[1:]):
            weight = weights[move.weight]
            target, source = move.moved
            torch.mul(grad[target], weight, out=grad_maps[source])
            for lost in move.lost:
                grad_maps[lost] = 0
            for target, source in move.kept:
                grad_maps[source].addcmul_(grad[target], weight)
            for target, source in [move.moved, *move.kept]:
                products = (grad[target] * maps[source]).sum(dim=(2, 3), keepdim=True)
                grad_weights[move.weight] += products
        return grad_maps, grad_weights, None


class _Move(NamedTuple):
    """Slices of one group of channels of one map, as pairs of the sum and the maps."""

    first: bool  # whether the map is the first one
    weight: Index
    moved: tuple[Index, Index]
    kept: list[tuple[Index, Index]]  # borders that nothing moves into
    lost: list[Index]  # borders of the maps that move off


@lru_cache(maxsize=1024)
def _moves(shifts: tuple[Shift, ...], channels: int, height: int, width: int) -> list[_Move]:
    """All that a shifted sum consists of."""
    everything = slice(None)

    def overlap(steps: int, length: int) -> slice:
        return slice(max(steps, 0), length + min(steps, 0))

    def outside(rows: slice, columns: slice) -> list[tuple[slice, slice]]:
        regions = [
            (slice(0, rows.start), slice(0, width)),
            (slice(rows.stop, height), slice(0, width)),
            (rows, slice(0, columns.start)),
            (rows, slice(columns.stop, width)),
        ]
        return [region for region in regions if all(part.start < part.stop for part in region)]

    moves = []
    for k, shift in enumerate(shifts):
        for group, (down, right) in channel_groups(shift, channels):
            if group.start == group.stop:
                continue
            if abs(down) >= height or abs(right) >= width:
                down = right = 0
            to = overlap(down, height), overlap(right, width)
            of = overlap(-down, height), overlap(-right, width)
            of_maps = slice(k * channels + group.start, k * channels + group.stop)
            moves.append(
                _Move(
                    first=k == 0,
                    weight=(everything, k, group, None, None),
                    moved=((everything, group, *to), (everything, of_maps, *of)),
                    kept=[
                        ((everything, group, *border), (everything, of_maps, *border))
                        for border in outside(*to)
                    ],
                    lost=[(everything, of_maps, *border) for border in outside(*of)],
                )
            )
    return moves
