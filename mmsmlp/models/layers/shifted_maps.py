"""Weighted sums of shifted maps, and what their tokens are on average, without shifting a map."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .extents import Extents
from .precision import without_autocast
from .recording import is_recording
from .shift import Direction, channel_groups, spatial_shift

Shift = Sequence[Direction]
Index = tuple[Any, ...]


def shifted_sum(maps: Tensor, weights: Tensor, shifts: Sequence[Shift]) -> Tensor:
    r"""The weighted sum of shifted maps, :math:`\sum_k w_k \odot \mathrm{shift}_k(x_k)`.

    Tokens are moved as they are added up: no shifted map is made, nor kept for the backward pass.

    Args:
        maps: ``(N, K·C, H, W)``, K maps one after the other, in either memory format.
        weights: ``(N, K, C)``, of each map and channel.
        shifts: Directions of each map, see :func:`~mmsmlp.models.layers.spatial_shift`.

    Returns:
        ``(N, C, H, W)``, in the memory format of ``maps``.
    """
    weights = weights.to(maps.dtype)
    if is_recording():
        return _sum_of_shifted(maps, weights, shifts)
    return _ShiftedSum.apply(maps, weights, _hashable(shifts))


def sum_of_shifted_means(
    x: Tensor,
    shifts: Sequence[Shift],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    extents: Extents | None = None,
) -> Tensor:
    """The sum over K shifted maps of the mean over their tokens, without a shifted map.

    A shift leaves some tokens of the border twice on a map and others not at all, so the mean is
    that of the map with its tokens counted so often. Means and linear maps commute: the K maps need
    not even be there, if it is known of what they are made.

    Args:
        x: The maps, ``(N, H, W, K·C)``, or what they are made of, ``(N, H, W, C_in)``.
        shifts: Directions of each map.
        weight: Of the linear map that makes the maps, ``(K·C, C_in)``.
        bias: ``(K·C,)``.
        extents: Of images to take the means of, without their padding.

    Returns:
        ``(N, C)``, in single precision at least.
    """
    directions = tuple(dict.fromkeys(d for shift in _hashable(shifts) for d in [*shift, (0, 0)]))
    height, width = x.shape[1:3]
    dtype = torch.promote_types(x.dtype, torch.float32)
    if extents is None:
        count = shift_counts if is_recording() else _counted_once
        counts, num_tokens = count(directions, height, width, x.device), height * width
    else:
        counts = extents.once(directions, lambda: image_shift_counts(directions, extents))
        num_tokens = extents.num_tokens[:, None, None].to(dtype)
    with without_autocast(x):
        # No map is converted: half precision holds the counts, and sums over millions of tokens as
        # thousandths. (A constant of this module's would not compile together with `with_cp`.)
        thousandths = (counts.to(x.dtype) / 1024) @ x.flatten(1, 2)
        means = thousandths.to(dtype) * (1024 / num_tokens)
        channels = (x.shape[3] if weight is None else len(weight)) // len(shifts)
        groups = [
            (group.stop - group.start, directions.index(direction))
            for shift in shifts
            for group, direction in channel_groups(shift, channels)
            if group.start < group.stop
        ]
        sizes = [size for size, _ in groups]
        if weight is None:
            maps = zip(means.split(sizes, dim=2), groups, strict=True)
            parts = [part[:, direction] for part, (_, direction) in maps]
        else:
            maps = zip(weight.to(dtype).split(sizes), groups, strict=True)
            parts = [F.linear(means[:, direction], part) for part, (_, direction) in maps]
        total = torch.cat(parts, dim=1) if bias is None else torch.cat(parts, dim=1) + bias
    return total.unflatten(1, (len(shifts), channels)).sum(dim=1)


def shift_counts(
    directions: Sequence[Direction], height: int, width: int, device: torch.device | None = None
) -> Tensor:
    """How often the tokens of a map are there after a shift by one.

    The sum over all tokens of a shifted map is that over the tokens of the map, each counted so
    often: the shifted map need not be made for it.

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
    return _counts(directions, rows, columns, height, width)


def image_shift_counts(directions: Sequence[Direction], extents: Extents) -> Tensor:
    """:func:`shift_counts` of the images of a padded batch: ``(N, D, H·W)``, zero on padding."""
    heights, widths = (lengths[:, None, None] for lengths in (extents.heights, extents.widths))
    rows, columns = (torch.arange(side, device=heights.device) for side in extents.size)
    counts = _counts(directions, rows[:, None], columns, heights, widths)
    return counts.masked_fill(extents.padding.flatten(1)[:, None], 0)


def _counts(
    directions: Sequence[Direction],
    rows: Tensor,
    columns: Tensor,
    height: int | Tensor,
    width: int | Tensor,
) -> Tensor:
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
        [inside(down, right).long() + ~inside(-down, -right) for down, right in directions], dim=-3
    ).flatten(-2)


@lru_cache(maxsize=1024)
def _counted_once(
    directions: tuple[Direction, ...], height: int, width: int, device: torch.device
) -> Tensor:
    # A tensor made in inference mode could not take part in training later.
    with torch.inference_mode(False):
        return shift_counts(directions, height, width, device).to(torch.float32)


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
        if torch.is_grad_enabled():  # a backward pass of the backward pass is to come
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
    """What of one group of channels of one map goes where; pairs are of the sum and the maps."""

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
