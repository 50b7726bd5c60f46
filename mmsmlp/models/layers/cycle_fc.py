"""The Cycle FC of CycleMLP: a linear layer whose input channels are read at neighbouring tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import check_int
from .linear_maps import Linear, linear


def cycle_shift(x: Tensor, dim: int) -> Tensor:
    """Read channel i at the token ``(i + 1) mod 3 - 1`` steps further along an axis.

    That is 0, +1, -1, 0, … (arXiv 2107.10224, equation 2, with steps of three). Beyond the border
    there are zeros.

    It is a depthwise convolution whose kernels are one-hot, which on a CPU is faster than slices.

    Args:
        x: Tokens, ``(N, H, W, C)``.
        dim: 1 to shift along the height, 2 along the width.

    Returns:
        ``(N, H, W, C)``.
    """
    channels = x.shape[3]
    steps = (torch.arange(channels, device=x.device) + 1) % 3
    kernel = F.one_hot(steps, 3).to(x.dtype)
    sides = (3, 1) if dim == 1 else (1, 3)
    y = F.conv2d(
        x.permute(0, 3, 1, 2),
        kernel.view(channels, 1, *sides),
        padding=(sides[0] // 2, sides[1] // 2),
        groups=channels,
    )
    return y.permute(0, 2, 3, 1)


class CycleFC(Linear):
    """A linear layer behind :func:`cycle_shift`: Cycle FC with steps 1×3 or 3×1.

    Args:
        channels: Number of channels C.
        dim: 1 to mix along the height, 2 along the width.
    """

    def __init__(self, channels: int, dim: int) -> None:
        check_int("channels", channels)
        if dim not in (1, 2):
            raise ValueError(f"dim must be 1 (height) or 2 (width), got {dim!r}")
        super().__init__(channels, channels)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        return linear(cycle_shift(x, self.dim), self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dim={self.dim}"
