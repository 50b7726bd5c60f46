"""The split attention of S²-MLPv2."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import torch.nn.functional as F
from torch import Tensor, nn


class SplitAttention(nn.Module):
    r"""A weighted sum of K maps, each channel weighing the maps by what all tokens say.

    Source: arXiv 2108.01072, section 3. With :math:`a \in R^c` the sum of all tokens of all maps,

    .. math:: \bar a = \mathrm{softmax}_K(\mathrm{GELU}(a W_1) W_2), \quad
        W_1 \in R^{c \times \bar c}, W_2 \in R^{\bar c \times Kc}

    and :math:`\bar c = c/4`, which the paper leaves open and its parameter counts settle.

    The paper's sum grows with the number of tokens. Here it is the mean times ``num_tokens``: the
    paper's sum at the native size, and on the scale of that at every other.

    Args:
        channels: Number of channels c of each map.
        num_maps: Number of maps K.
        num_tokens: Native number of tokens of a map.
    """

    def __init__(self, channels: int, num_maps: int, num_tokens: int) -> None:
        super().__init__()
        self.num_maps = num_maps
        self.num_tokens = num_tokens
        self.fc1 = nn.Linear(channels, channels // 4, bias=False)
        self.fc2 = nn.Linear(channels // 4, num_maps * channels, bias=False)

    def logits(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, K, C), the input of the softmax."""
        a = self.num_tokens * sum(x.mean(dim=(2, 3)) for x in maps)
        return self.fc2(F.gelu(self.fc1(a))).unflatten(1, (self.num_maps, -1))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """K × (N, C, H, W) -> (N, C, H, W)."""
        weights = self.logits(maps).softmax(dim=1)[..., None, None].unbind(dim=1)
        return reduce(add, (weight * x for weight, x in zip(weights, maps, strict=True)))

    def extra_repr(self) -> str:
        return f"num_maps={self.num_maps}, num_tokens={self.num_tokens}"
