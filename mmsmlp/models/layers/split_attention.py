"""The split attention of S²-MLPv2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import check_int
from .precision import without_autocast


class SplitAttention(nn.Module):
    r"""Weights for the sum of K maps: each channel weighs the maps, using all tokens.

    Source: arXiv 2108.01072, section 3. With :math:`a \in R^c` the sum of all tokens of all maps,

    .. math:: \bar a = \mathrm{softmax}_K(\mathrm{GELU}(a W_1) W_2), \quad
        W_1 \in R^{c \times \bar c}, W_2 \in R^{\bar c \times Kc}

    and :math:`\bar c = c/4`, which the paper leaves open and its parameter counts settle.

    The paper's sum grows with the number of tokens, and needs a tiny :math:`W_1`: a few steps at
    the learning rate of other layers saturate the softmax, and one map is chosen permanently. Here
    :math:`a` is the mean over tokens, and each product is divided by the root of its length, c or
    :math:`\bar c`. The weights are larger by as much: the function is the same at the native size,
    and on the same scale at every other. The roots are needed because a mean is similar for all
    images: steps of the optimizer add up, and a longer product changes faster.

    State dicts of the paper's form load as well. They hold the weights as linear layers do,
    :math:`(\bar c, c)` and :math:`(Kc, \bar c)`, without the roots and for the sum of tokens.

    Args:
        channels: Number of channels c of each map.
        num_maps: Number of maps K.
        num_tokens: Native number of tokens of a map, for state dicts of the paper's form.
    """

    def __init__(self, channels: int, num_maps: int, num_tokens: int) -> None:
        super().__init__()
        check_int("channels", channels, minimum=4)  # a quarter of them is the hidden layer
        check_int("num_maps", num_maps)
        check_int("num_tokens", num_tokens)
        self.num_maps = num_maps
        self.num_tokens = num_tokens
        self.roots = math.sqrt(channels), math.sqrt(channels // 4)
        # Not linear layers, so that a network's initialisation of linear layers skips these.
        self.weight1 = nn.Parameter(torch.empty(channels, channels // 4))
        self.weight2 = nn.Parameter(torch.empty(channels // 4, num_maps * channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise by truncated normals of 0.02 (times the roots): maps weigh about the same."""
        for weight, root in zip((self.weight1, self.weight2), self.roots, strict=True):
            nn.init.trunc_normal_(weight, std=0.02 * root)

    def is_sum_pooled(self, state_dict: Mapping[str, Any], prefix: str) -> bool:
        """Whether a state dict holds the weights in the paper's form, for the sum of tokens."""
        weight = state_dict.get(prefix + "weight1")
        return weight is not None and weight.shape == self.weight1.T.shape

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        if self.is_sum_pooled(state_dict, prefix):
            root1, root2 = self.roots
            ours = {prefix + "weight1": self.num_tokens * root1 * state_dict[prefix + "weight1"].T}
            if (weight := state_dict.get(name := prefix + "weight2")) is not None:
                ours[name] = root2 * weight.T
            state_dict = {**state_dict, **ours}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def logits(self, mean: Tensor) -> Tensor:
        """(N, C), the mean over tokens of all maps added up -> (N, K, C), the softmax's input.

        In single precision at least, inside of autocast as well.
        """
        dtype = torch.promote_types(mean.dtype, torch.float32)
        with without_autocast(mean):
            root1, root2 = self.roots
            hidden = F.gelu(mean.to(dtype) / root1 @ self.weight1.to(dtype))
            return (hidden / root2 @ self.weight2.to(dtype)).unflatten(1, (self.num_maps, -1))

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C), see :meth:`logits` -> (N, K, C), the weight of each map and channel."""
        return self.logits(mean).softmax(dim=1)

    def extra_repr(self) -> str:
        return f"num_maps={self.num_maps}, num_tokens={self.num_tokens}"
