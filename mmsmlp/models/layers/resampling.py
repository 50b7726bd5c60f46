"""Linear resampling of lines of samples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .linear_maps import is_channels_last
from .precision import without_autocast
from .recording import build_once, is_recording


def resampling_matrix(
    source: int,
    target: int,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Linear resampling of a line of samples.

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
    # Built in at least float32: in half precision the rows would not sum to one. Distances are
    # integers, with 2 source·target to the line.
    build_dtype = torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)
    samples = 2 * torch.arange(source, device=device) + 1
    centres = 2 * torch.arange(target, device=device)[:, None] + 1
    distance = (samples * target - centres * source).abs().to(build_dtype)
    # The wider of both kernels, going up or down: no graph has to know which one it is.
    kernel = torch.maximum(1 - distance / (2 * target), 1 - distance / (2 * source)).clamp(min=0)
    return (kernel / kernel.sum(dim=-1, keepdim=True)).to(dtype or torch.get_default_dtype())


def cached_resampling_matrix(source: int, target: int, like: Tensor) -> Tensor:
    """:func:`resampling_matrix` of the data type and device of a tensor, built once."""
    return build_once(resampling_matrix, source, target, like.dtype, like.device)


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a map up to a size, as :func:`resampling_matrix` would along both axes.

    A value takes two neighbours an axis only, which is less work than rows of matrices.

    Args:
        x: ``(N, C, H, W)``.
        size: New height and width, neither below the old one.

    Returns:
        ``x`` with another H and W; ``x`` itself where that is no change.
    """
    if x.shape[2:] == size:
        return x
    with without_autocast(x):  # which would continue in single precision
        return F.interpolate(x, size, mode="bilinear", align_corners=False)


def add_upsampled(y: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Add two maps to another of more tokens, which is overwritten.

    Args:
        y: ``(N, C, H, W)``.
        row: ``(N, C, H, W_0)``.
        column: ``(N, C, H_0, W)``.

    Returns:
        ``y + upsample(row) + upsample(column)``.
    """
    size = y.shape[2:]
    products = y.is_cuda and not is_recording() and is_channels_last(y)
    if products and row.shape[2:] != size != column.shape[2:]:
        return _AddUpsampled.apply(y, row, column)
    y += upsample(row, size)
    y += upsample(column, size)
    return y


class _AddUpsampled(torch.autograd.Function):
    """Matrices go up and add in one kernel, which on a GPU costs less than going up alone."""

    @staticmethod
    def forward(ctx, y: Tensor, row: Tensor, column: Tensor) -> Tensor:
        ctx.lengths = row.shape[3], column.shape[2]
        ctx.mark_dirty(y)
        n, channels, height, width = y.shape
        up_rows, up_columns = _ups(y, *ctx.lengths)
        tokens = y.permute(0, 2, 3, 1)
        row, column = (x.permute(0, 2, 3, 1).to(y.dtype) for x in (row, column))
        lines = up_rows.expand(n * height, -1, -1)
        tokens.view(n * height, width, channels).baddbmm_(lines, row.flatten(0, 1))
        lines = up_columns.expand(n, -1, -1)
        tokens.view(n, height, width * channels).baddbmm_(lines, column.flatten(2))
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        up_rows, up_columns = _ups(grad, *ctx.lengths)
        n, channels, height, width = grad.shape
        tokens = grad.permute(0, 2, 3, 1).contiguous()
        row = up_rows.mT.expand(n * height, -1, -1) @ tokens.flatten(0, 1)
        column = up_columns.mT.expand(n, -1, -1) @ tokens.flatten(2)
        row = row.view(n, height, -1, channels)
        column = column.view(n, -1, width, channels)
        return grad, row.permute(0, 3, 1, 2), column.permute(0, 3, 1, 2)


def _ups(like: Tensor, row: int, column: int) -> tuple[Tensor, Tensor]:
    height, width = like.shape[2:]
    return (
        cached_resampling_matrix(row, width, like),
        cached_resampling_matrix(column, height, like),
    )
