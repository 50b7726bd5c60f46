"""The sparse MLP of sMLPNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .axial import AxialMixing


class SparseMLP(nn.Module):
    """sMLP: rows and columns mixed apart, then fused with the identity.

    Source: arXiv 2109.05422, section 3.2. The three branches are concatenated in the order
    identity, row, column.

    Args:
        channels: Number of channels C.
        grid: Native (height, width) of the map, in tokens.
    """

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        height, width = grid
        self.row = AxialMixing(width, dim=-1)
        self.column = AxialMixing(height, dim=-2)
        self.fuse = nn.Conv2d(3 * channels, channels, kernel_size=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), for any H and W."""
        return self.fuse(torch.cat([x, self.row(x), self.column(x)], dim=1))
