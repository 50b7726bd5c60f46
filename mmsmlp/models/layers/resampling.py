"""Linear resampling of lines of samples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import without_autocast
from .recording import build_once


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
    # whole numbers, with 2 source·target to the line.
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
        size: Height and width to be, neither below what it is.

    Returns:
        ``x`` with another H and W; ``x`` itself where that is no change.
    """
    if x.shape[2:] == size:
        return x
    with without_autocast(x):  # which would go on in single precision
        return F.interpolate(x, size, mode="bilinear", align_corners=False)
