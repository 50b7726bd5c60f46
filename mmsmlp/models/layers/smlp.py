"""The sparse MLP of sMLPNet."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import check_int, check_ints
from .axial import AxialMixing
from .linear_maps import axis_linear
from .resampling import add_upsampled


class ConcatFusion(nn.Module):
    """A linear map of the channels of several maps, without bias.

    Args:
        channels: Number of channels C of each map.
        num_maps: Number of maps K.
    """

    def __init__(self, channels: int, num_maps: int) -> None:
        super().__init__()
        check_int("channels", channels)
        check_int("num_maps", num_maps)
        conv = nn.Conv2d(num_maps * channels, channels, kernel_size=1, bias=False)
        self.weight = conv.weight

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """K × (N, C, H_k, W_k) -> K × (N, C, H_k, W_k), whose sum is the fused map."""
        weight = self.weight.to(maps[0].dtype)  # once for all, under autocast
        weights = weight.split(len(weight), dim=1)
        if maps[0].is_cuda:  # where a convolution would copy each part of the weight
            parts = zip(maps, weights, strict=True)
            return [axis_linear(x, weight.flatten(1), None, 1) for x, weight in parts]
        return [F.conv2d(x, weight) for x, weight in zip(maps, weights, strict=True)]


class SparseMLP(nn.Module):
    """sMLP: rows and columns mixed apart, then fused with the identity.

    Source: arXiv 2109.05422, section 3.2.

    Args:
        channels: Number of channels C.
        grid: Native (height, width) of the map, in tokens.

    Raises:
        ValueError: If an argument is out of its range; the message names it.
    """

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        check_int("channels", channels)
        check_ints("grid", grid)
        if len(grid) != 2:
            raise ValueError(f"grid must be (height, width), got {grid}")
        height, width = grid
        self.row = AxialMixing(width, dim=-1)
        self.column = AxialMixing(height, dim=-2)
        self.fuse = ConcatFusion(channels, num_maps=3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), for any H and W."""
        branches = x, self.row(x, native=True), self.column(x, native=True)
        # The fused map is a sum of linear maps, each cheaper before it is upsampled.
        y, row, column = self.fuse(branches)
        return add_upsampled(y, row, column)
