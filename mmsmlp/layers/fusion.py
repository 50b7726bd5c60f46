"""Plain ways to make one map of several; split attention is the other one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConcatFusion(nn.Conv2d):
    """A linear map of all channels of all maps, without bias.

    Args:
        channels: Number of channels C of each map.
        num_maps: Number of maps K.
    """

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__(num_maps * channels, channels, kernel_size=1, bias=False)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, C, H, W)."""
        return super().forward(torch.cat(maps, dim=1))


class WeightedSum(nn.Module):
    """The sum of maps with a learnt weight per map and channel, at first one.

    Args:
        channels: Number of channels C of each map.
        num_maps: Number of maps K.
    """

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_maps, channels, 1, 1))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, C, H, W)."""
        return sum(weight * x for weight, x in zip(self.weight, maps, strict=True))


class Sum(nn.Module):
    """The sum of maps."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, C, H, W)."""
        return sum(maps)


class Mean(nn.Module):
    """The mean of maps."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, C, H, W)."""
        return sum(maps) / len(maps)
