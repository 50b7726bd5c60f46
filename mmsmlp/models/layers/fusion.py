"""Plain ways to make one map of several; split attention is the other one.

The fusions that learn something are sums of the maps, each with its channels mapped first:
``fusion.map(k, x)`` is what map k adds to the result. It treats every token alike, so it commutes
with whatever is linear in the tokens and treats every channel alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import check_whole


class Sum(nn.Module):
    """The sum of maps."""

    def map(self, k: int, x: Tensor) -> Tensor:
        """What map ``k`` adds to the result: (N, C, H, W) -> (N, C, H, W)."""
        return x

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, C, H, W)."""
        return reduce(add, (self.map(k, x) for k, x in enumerate(maps)))


class WeightedSum(Sum):
    """The sum of maps with a learnt weight per map and channel, at first one.

    State dicts that hold the weight as (K, C, 1, 1), as it once was, load as well.

    Args:
        channels: Number of channels C of each map.
        num_maps: Number of maps K.
    """

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        check_whole("channels", channels)
        check_whole("num_maps", num_maps)
        self.shape = (num_maps, channels, 1, 1)
        # Flat, so that rules which spare what has one dimension weight decay spare it too.
        self.weight = nn.Parameter(torch.ones(num_maps * channels))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        weight = state_dict.get(name := prefix + "weight")
        if weight is not None and weight.shape == self.shape:
            state_dict = {**state_dict, name: weight.flatten()}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def map(self, k: int, x: Tensor) -> Tensor:
        return self.weight.view(self.shape)[k] * x


class ConcatFusion(Sum):
    """A linear map of all channels of all maps, without bias.

    Args:
        channels: Number of channels C of each map.
        num_maps: Number of maps K.
    """

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        check_whole("channels", channels)
        check_whole("num_maps", num_maps)
        conv = nn.Conv2d(num_maps * channels, channels, kernel_size=1, bias=False)
        self.weight = conv.weight

    def map(self, k: int, x: Tensor) -> Tensor:
        channels = x.shape[1]
        return F.conv2d(x, self.weight[:, k * channels : (k + 1) * channels])
