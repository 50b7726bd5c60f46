"""Plain ways to make one map of several; split attention is the other one.

The fusions that learn something are sums of the maps, each with its channels mapped first:
``fusion.map(k, x)`` is what map k adds to the result. It treats every token alike, so it commutes
with whatever is linear in the tokens and treats every channel alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .axis_linear import axis_linear


class Sum(nn.Module):
    """The sum of maps.

    Attributes:
        cost: Multiply-adds per value of :meth:`map`.
    """

    cost = 0

    def map(self, k: int, x: Tensor, add: Tensor | None = None) -> Tensor:
        """What map ``k`` contributes, on top of ``add``: (N, C, H, W) -> (N, C, H, W)."""
        return x if add is None else add + x

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, C, H, W)."""
        y = None
        for k, x in enumerate(maps):
            y = self.map(k, x, y)
        return y


class WeightedSum(Sum):
    """The sum of maps with a learnt weight per map and channel, at first one.

    Args:
        channels: Number of channels C of each map.
        num_maps: Number of maps K.
    """

    cost = 1

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_maps, channels, 1, 1))

    def map(self, k: int, x: Tensor, add: Tensor | None = None) -> Tensor:
        return self.weight[k] * x if add is None else torch.addcmul(add, self.weight[k], x)


class ConcatFusion(Sum):
    """A linear map of all channels of all maps, without bias.

    Args:
        channels: Number of channels C of each map.
        num_maps: Number of maps K.
    """

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        self.cost = channels
        conv = nn.Conv2d(num_maps * channels, channels, kernel_size=1, bias=False)
        self.weight = conv.weight

    def map(self, k: int, x: Tensor, add: Tensor | None = None) -> Tensor:
        weight = self.weight[:, k * self.cost : (k + 1) * self.cost, 0, 0]
        return axis_linear(x, weight, -3, add)


class Mean(nn.Module):
    """The mean of maps."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, C, H, W)."""
        return sum(maps) / len(maps)
