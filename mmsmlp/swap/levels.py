"""Which stages of the new backbone give the maps that the old one gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log2

from mmsmlp.errors import SwapError

# Output channels of an adapter between the backbone and the neck.
ADAPTER_CHANNELS = 256


@dataclass(frozen=True)
class Levels:
    """Maps of a backbone, or stages of one.

    Args:
        channels: Of each.
        strides: Of each, in pixels.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Choice:
    """Replacement for the maps of the old backbone.

    Args:
        out_indices: Stages of the new backbone that are output.
        channels: Of each map that the model reads.
        adapter: A neck that comes first, if the strides of the backbone are not those wanted.
    """

    out_indices: tuple[int, ...]
    channels: tuple[int, ...]
    adapter: dict | None = None


def undilated(strides: Sequence[int]) -> list[int]:
    """Strides without dilation: as if every dilated stage had a stride.

    Args:
        strides: Of the maps that a backbone outputs, from fine to coarse.

    Returns:
        Strides that grow with every map, or are all the same where they were.

    Raises:
        SwapError: If the maps are no pyramid.

    Examples:
        >>> undilated([4, 8, 8, 8])
        [4, 8, 16, 32]
    """
    if len(set(strides)) == 1:
        return list(strides)
    wanted: list[int] = []
    for i, stride in enumerate(strides):
        wanted.append(2 * wanted[-1] if i and stride == strides[i - 1] else stride)
    if any(fine >= coarse for fine, coarse in pairwise(wanted)):
        raise SwapError(
            f"the maps of its backbone, at strides {list(strides)}, are no pyramid: other "
            "backbones cannot replace this one"
        )
    return wanted


def choose(stages: Levels, wanted: Sequence[int]) -> Choice:
    """Choose the stages whose outputs the model reads.

    Args:
        stages: All stages of the new backbone.
        wanted: Strides of the maps that are read, as :func:`undilated` gives them.

    Returns:
        The choice. Stages of just these strides, if there are; otherwise the nearest, and a
        :class:`~mmsmlp.models.necks.SimpleFeaturePyramid` behind them.

    Raises:
        SwapError: If only shallow stages would be used.
    """
    deepest = stages.strides[-1]
    if 2 * max(wanted) < deepest:
        raise SwapError(
            f"it reads maps at strides {list(wanted)} and no coarser ones: its backbone holds "
            f"a decoder, and of the new one, with strides up to {deepest}, little would be left"
        )
    number = len(stages.strides)
    last_of = {stride: i for i, stride in enumerate(stages.strides)}
    if set(wanted) == set(stages.strides) == {deepest} and len(wanted) <= number:
        indices = tuple((k + 1) * number // len(wanted) - 1 for k in range(len(wanted)))
    elif len(set(wanted)) == len(wanted) and set(wanted) <= set(last_of):
        indices = tuple(last_of[stride] for stride in wanted)
    else:
        return _adapted(stages, wanted, last_of)
    return Choice(indices, tuple(stages.channels[i] for i in indices))


def _adapted(stages: Levels, wanted: Sequence[int], last_of: dict[int, int]) -> Choice:
    if len(wanted) > 1 and len(set(wanted)) == 1 and len(wanted) <= len(last_of):
        # A plain vision transformer's: depths that differ count for more than strides.
        indices = tuple(sorted(last_of.values())[-len(wanted) :])
    else:
        nearest = {min(last_of, key=lambda s: abs(log2(s / stride))) for stride in wanted}
        indices = tuple(last_of[stride] for stride in sorted(nearest))
    adapter = dict(
        type="mmsmlp.SimpleFeaturePyramid",
        in_channels=[stages.channels[i] for i in indices],
        in_strides=[stages.strides[i] for i in indices],
        out_channels=ADAPTER_CHANNELS,
        out_strides=list(wanted),
    )
    return Choice(indices, (ADAPTER_CHANNELS,) * len(wanted), adapter)
