"""Ablations of the papers: other kinds of token mixing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from .arguments import check_int
from .resampling import upsample
from .smlp import ConcatFusion, SparseMLP


class Sum(nn.Module):
    """The sum of maps, instead of a linear layer over all their channels."""

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """K × (N, C, H_k, W_k) -> the same, whose sum is the fused map."""
        return list(maps)


class WeightedSum(nn.Module):
    """The sum of maps with a learnt weight per map and channel, at first one.

    State dicts that hold the weight as (K, C, 1, 1), as it once was, load as well.

    Args:
        channels: Number of channels C of each map.
        num_maps: Number of maps K.
    """

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        check_int("channels", channels)
        check_int("num_maps", num_maps)
        self.shape = (num_maps, channels, 1, 1)
        # Flat, so that rules without weight decay for one-dimensional parameters apply to it.
        self.weight = nn.Parameter(torch.ones(num_maps * channels))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        weight = state_dict.get(name := prefix + "weight")
        if weight is not None and weight.shape == self.shape:
            state_dict = {**state_dict, name: weight.flatten()}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """K × (N, C, H_k, W_k) -> K × (N, C, H_k, W_k), whose sum is the fused map."""
        return [weight * x for weight, x in zip(self.weight.view(self.shape), maps, strict=True)]


class AblatedSparseMLP(SparseMLP):
    """The sMLPs of section 4.2 of arXiv 2109.05422.

    Args:
        channels: Number of channels C.
        grid: Native (height, width) of the map, in tokens.
        fusion: How the branches become one: ``'concat'`` and a linear map, ``'sum'`` or
            ``'weighted_sum'``.
        identity: Whether the identity is a branch.
        sequential: Whether columns are mixed after the rows, in the same branch.

    Raises:
        ValueError: If an argument is out of its range; the message names it.
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        fusion: str = "concat",
        identity: bool = True,
        sequential: bool = False,
    ) -> None:
        super().__init__(channels, grid)
        self.identity = bool(identity)
        self.sequential = sequential
        num_maps = self.identity + (1 if sequential else 2)
        if fusion == "concat":
            self.fuse = ConcatFusion(channels, num_maps)
        elif fusion == "weighted_sum":
            self.fuse = WeightedSum(channels, num_maps)
        elif fusion == "sum":
            self.fuse = Sum()
        else:
            raise ValueError(f"fusion must be 'concat', 'sum' or 'weighted_sum', got {fusion!r}")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), for any H and W."""
        branches = [x] if self.identity else []
        row = self.row(x, native=True)
        if self.sequential:
            branches.append(self.column(row, native=True))
        else:
            branches += [row, self.column(x, native=True)]
        return reduce(add, (upsample(y, x.shape[2:]) for y in self.fuse(branches)))


class Mean(nn.Module):
    """Equal weights instead of split attention's: the mean of the maps (arXiv 2108.01072).

    Args:
        num_maps: Number of maps K.
    """

    def __init__(self, num_maps: int) -> None:
        super().__init__()
        check_int("num_maps", num_maps)
        self.num_maps = num_maps

    def forward(self, mean: Tensor) -> Tensor:
        """(N, C) -> (N, K, C)."""
        return torch.full_like(mean, 1 / self.num_maps)[:, None].expand(-1, self.num_maps, -1)
