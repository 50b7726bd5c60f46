"""The spatial shift of S²-MLP, which mixes tokens without a parameter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from .arguments import is_int

# Where tokens go: steps down and steps to the right.
Direction = tuple[int, int]
DOWN, UP, RIGHT, LEFT = (1, 0), (-1, 0), (0, 1), (0, -1)

# The shift of S²-MLP (arXiv 2106.07477) and the first one of S²-MLPv2 (arXiv 2108.01072); the
# second one exchanges the axes, and the third map stays.
SS1 = (RIGHT, LEFT, DOWN, UP)
SS2 = (DOWN, UP, RIGHT, LEFT)
IDENTITY_SHIFT = ()


def spatial_shift(x: Tensor, directions: Sequence[Direction]) -> Tensor:
    """Shift groups of channels, each in its own direction.

    The channels are split into as many equal groups as there are directions, in their order. A
    token that nothing moves into keeps its own value; so do all channels past the last full
    group, where their number is not divisible.

    Args:
        x: ``(N, C, H, W)``, in either memory format, which the result keeps.
        directions: ``(down, right)`` of each group, of -1, 0 and 1; empty for no shift at all.

    Returns:
        ``(N, C, H, W)``; ``x`` is not changed.

    Raises:
        ValueError: If a direction is none.
    """
    check_directions("directions", directions)
    if not directions:
        return x
    return _join(
        [
            _move(x[:, channels], down, right)
            for channels, (down, right) in channel_groups(directions, x.shape[1])
        ],
        dim=1,
    )


def check_directions(name: str, directions: Any) -> None:
    """Make sure that an argument is the directions of a shift.

    Raises:
        ValueError: If it is not.
    """

    def is_direction(pair: Any) -> bool:
        return (
            isinstance(pair, Sequence)
            and len(pair) == 2
            and all(is_int(axis) and -1 <= axis <= 1 for axis in pair)
        )

    if not isinstance(directions, Sequence) or not all(map(is_direction, directions)):
        raise ValueError(f"{name} must be (down, right) of -1, 0 or 1, got {directions!r}")


def channel_groups(directions: Sequence[Direction], channels: int) -> list[tuple[slice, Direction]]:
    """The shifted groups of channels, each with its direction; unshifted ones are last."""
    # An integer; torch.jit.trace needs the conversion to record a size.
    channels = int(channels)
    size = channels // max(len(directions), 1)
    groups = [
        (slice(i * size, (i + 1) * size), direction) for i, direction in enumerate(directions)
    ]
    return [*groups, (slice(len(directions) * size, channels), (0, 0))]


def _move(x: Tensor, down: int, right: int) -> Tensor:
    """Shift the tokens of ``x``; border tokens without a source stay unchanged."""
    height, width = x.shape[-2:]
    if abs(down) >= height or abs(right) >= width:
        return x
    top, bottom = max(down, 0), height + min(down, 0)
    start, stop = max(right, 0), width + min(right, 0)
    moved = x[..., top - down : bottom - down, start - right : stop - right]
    moved = _join([x[..., top:bottom, :start], moved, x[..., top:bottom, stop:]], dim=-1)
    return _join([x[..., :top, :], moved, x[..., bottom:, :]], dim=-2)


def _join(parts: Iterable[Tensor], dim: int) -> Tensor:
    # Empty parts would have a gradient as large as the map in the backward pass.
    parts = [part for part in parts if part.shape[dim]]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
