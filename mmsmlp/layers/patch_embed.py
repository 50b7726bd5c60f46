"""Patch embedding and patch merging."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PatchEmbed(nn.Conv2d):
    """A linear map of every p×p patch; between stages, the same with p = 2 merges patches.

    A map that p does not divide is padded with zeros at the bottom and right, so that no pixel is
    dropped and every size is accepted.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of a token.
        patch_size: p, also the stride.
        bias: Whether the map has one.
    """

    def __init__(
        self, in_channels: int, out_channels: int, patch_size: int, bias: bool = False
    ) -> None:
        super().__init__(in_channels, out_channels, patch_size, stride=patch_size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ⌈H/p⌉, ⌈W/p⌉)."""
        height, width = x.shape[-2:]
        patch_height, patch_width = self.stride
        return super().forward(F.pad(x, (0, -width % patch_width, 0, -height % patch_height)))
