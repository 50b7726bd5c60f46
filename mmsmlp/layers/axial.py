"""Linear maps along one spatial axis, learnt at one length and applied at any."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resampling_matrix(
    source: int,
    target: int,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Linear resampling of a line of samples, as a matrix.

    Samples sit at half-pixel centres; going down, the kernel widens with the ratio (anti-aliasing).
    Every row sums to one, and equal lengths give the identity.

    Args:
        source: Number of samples to read.
        target: Number of samples to make.
        dtype: Of the result.
        device: Of the result.

    Returns:
        ``(target, source)``; ``matrix @ line`` resamples a line.
    """
    # Built in at least float32: resizing the identity in half precision costs digits for nothing.
    build_dtype = torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)
    identity = torch.eye(source, dtype=build_dtype, device=device)
    matrix = F.interpolate(
        identity[None, None],
        size=(target, source),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    return matrix[0, 0].to(dtype)


def _axial_linear(x: Tensor, weight: Tensor, bias: Tensor | None, dim: int) -> Tensor:
    """Map every line of ``x`` along ``dim`` (-1 or -2) by ``weight`` (L_out, L_in)."""
    if dim == -1:
        return F.linear(x, weight, bias)
    y = torch.matmul(weight, x)
    return y if bias is None else y + bias[:, None]


class AxialMixing(nn.Module):
    r"""A linear map along the width or the height, shared by all lines and channels.

    It is the mixing of one branch of sMLP (arXiv 2109.05422, section 3.2), :math:`y = Wx + b` with
    :math:`W` of the native length :math:`L`. At another length :math:`L'` the line is resampled to
    the native one, mixed there and resampled back, :math:`y = U(W(Dx) + b)`; at :math:`L' = L` both
    resamplings are the identity and the map is the paper's.

    Args:
        length: Native length L, in tokens.
        dim: The axis to mix: -1 for the width, -2 for the height.

    Raises:
        ValueError: If ``length`` is below 1 or ``dim`` is another axis.
    """

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        if dim not in (-1, -2):
            raise ValueError(f"dim must be -1 (width) or -2 (height), got {dim}")
        self.length = length
        self.dim = dim
        self.weight = nn.Parameter(torch.empty(length, length))
        self.bias = nn.Parameter(torch.empty(length))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as ``torch.nn.Linear`` does: uniform within ±1/√L."""
        bound = 1 / math.sqrt(self.length)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens along the axis.

        Args:
            x: ``(N, C, H, W)``, of any height and width from 1 on.

        Returns:
            ``(N, C, H, W)``.
        """
        length = x.shape[self.dim]
        if length == self.length:
            return _axial_linear(x, self.weight, self.bias, self.dim)
        down = resampling_matrix(length, self.length, self.weight.dtype, x.device)
        up = resampling_matrix(self.length, length, self.weight.dtype, x.device)
        # A line costs L'² as one product and L(2L' + L) as three: the former is less up to here.
        if length <= (1 + math.sqrt(2)) * self.length:
            return _axial_linear(x, up @ self.weight @ down, up @ self.bias, self.dim)
        x = _axial_linear(x, down, None, self.dim)
        x = _axial_linear(x, self.weight, self.bias, self.dim)
        return _axial_linear(x, up, None, self.dim)

    def extra_repr(self) -> str:
        return f"{self.length}, dim={self.dim}"
