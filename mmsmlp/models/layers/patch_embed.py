"""Patch embedding and patch merging."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import check_int
from .linear_maps import is_channels_last
from .recording import is_recording


class PatchEmbed(nn.Conv2d):
    """A linear map of every p×p patch; between stages, the same with p = 2 merges patches.

    A map that p does not divide is padded with zeros at the bottom and right, so that no pixel is
    dropped and every size is accepted.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of a token.
        patch_size: p, also the stride.
        bias: Whether the map has one.
        overlap: Whether a patch has 2p-1 pixels a side, and shares p-1 with a neighbour.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        patch_size: int,
        bias: bool = False,
        overlap: bool = False,
    ) -> None:
        check_int("in_channels", in_channels)
        check_int("out_channels", out_channels)
        check_int("patch_size", patch_size)
        kernel_size = 2 * patch_size - 1 if overlap else patch_size
        super().__init__(in_channels, out_channels, kernel_size, stride=patch_size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, ⌈H/p⌉, ⌈W/p⌉), channels last in memory."""
        if is_recording() or any(self._margin(x)):  # padding by nothing would be a copy
            x = F.pad(x, self._margin(x))
        weight = self.weight
        if x.is_cpu and not is_recording() and not is_channels_last(x):
            # The tokens are channels last then, and neither they nor the image are copied for it.
            weight = weight.contiguous(memory_format=torch.channels_last)
        y = self._conv_forward(x, weight, self.bias)
        # There is no memory format in `torch.vmap`, but there are permutations.
        return y.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)

    def _margin(self, x: Tensor) -> tuple[int, int, int, int]:
        """Padding at the left, right, top and bottom."""
        (kernel, _), (patch, _) = self.kernel_size, self.stride
        before = (kernel - patch + 1) // 2
        # In the form that compilers can reason about; they stumble over remainders.
        bottom, right = (
            (side + patch - 1) // patch * patch - patch + kernel - before - side
            for side in x.shape[2:]
        )
        return before, right, before, bottom


class OverlapPatchEmbed(PatchEmbed):
    """A linear map of overlapping patches: a kernel of 2p-1 at every p-th pixel, with a bias.

    The map is padded with p // 2 zeros at the top and left, and at the bottom and right with as
    many as complete the last patch.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of a token.
        patch_size: p, the stride.
    """

    def __init__(self, in_channels: int, out_channels: int, patch_size: int) -> None:
        super().__init__(in_channels, out_channels, patch_size, bias=True, overlap=True)
