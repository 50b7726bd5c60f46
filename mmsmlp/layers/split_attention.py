"""The split attention of S²-MLPv2."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SplitAttention(nn.Module):
    r"""Weights for the sum of K maps: each channel weighs the maps by what all tokens say.

    Source: arXiv 2108.01072, section 3. With :math:`a \in R^c` the sum of all tokens of all maps,

    .. math:: \bar a = \mathrm{softmax}_K(\mathrm{GELU}(a W_1) W_2), \quad
        W_1 \in R^{c \times \bar c}, W_2 \in R^{\bar c \times Kc}

    and :math:`\bar c = c/4`, which the paper leaves open and its parameter counts settle.

    The paper's sum grows with the number of tokens. Here it is the mean times ``num_tokens``: the
    paper's sum at the native size, and on the scale of that at every other.

    A sum over thousands of tokens saturates the softmax unless the weights are small: they start
    such that all maps weigh about the same.

    Args:
        channels: Number of channels c of each map.
        num_maps: Number of maps K.
        num_tokens: Native number of tokens of a map.
    """

    def __init__(self, channels: int, num_maps: int, num_tokens: int) -> None:
        super().__init__()
        self.num_maps = num_maps
        self.num_tokens = num_tokens
        # Not linear layers: what initialises all of those in a network shall not reach these.
        self.weight1 = nn.Parameter(torch.empty(channels // 4, channels))
        self.weight2 = nn.Parameter(torch.empty(num_maps * channels, channels // 4))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise by truncated normals of 0.02, for a mean over tokens in place of a sum."""
        nn.init.trunc_normal_(self.weight1, std=0.02 / self.num_tokens)
        nn.init.trunc_normal_(self.weight2, std=0.02)

    def logits(self, mean: Tensor) -> Tensor:
        """(N, C), the mean over tokens of all maps added up -> (N, K, C), the softmax's input."""
        hidden = F.gelu(F.linear(self.num_tokens * mean, self.weight1))
        return F.linear(hidden, self.weight2).unflatten(1, (self.num_maps, -1))

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C), see :meth:`logits` -> (N, K, C), the weight of each map and channel."""
        return self.logits(mean).softmax(dim=1)

    def extra_repr(self) -> str:
        return f"num_maps={self.num_maps}, num_tokens={self.num_tokens}"


class Mean(nn.Module):
    """Equal weights in place of split attention's: the mean of the maps.

    Args:
        num_maps: Number of maps K.
    """

    def __init__(self, num_maps: int) -> None:
        super().__init__()
        self.num_maps = num_maps

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) -> (N, K, C)."""
        return torch.full_like(mean, 1 / self.num_maps)[:, None].expand(-1, self.num_maps, -1)
