"""Linear resampling of lines of samples."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .recording import is_recording


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
    # Built in at least float32: in half precision the rows would not sum to one.
    build_dtype = torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)
    ratio = source / target
    centres = (torch.arange(target, dtype=build_dtype, device=device) + 0.5) * ratio
    samples = torch.arange(source, dtype=build_dtype, device=device) + 0.5
    distance = (samples - centres[:, None]).abs()
    # The wider of both kernels, going up or down: no graph has to know which one it is.
    matrix = torch.maximum(1 - distance, 1 - distance / ratio).clamp(min=0)
    return (matrix / matrix.sum(dim=1, keepdim=True)).to(dtype)


@lru_cache(maxsize=1024)
def _built_once(source: int, target: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # A tensor made in inference mode could not take part in training later.
    with torch.inference_mode(False):
        return resampling_matrix(source, target, dtype, device)


def cached_resampling_matrix(source: int, target: int, like: Tensor) -> Tensor:
    """:func:`resampling_matrix` of the data type and device of a tensor, built once.

    Not to be written to. What traces a network gets a matrix of its own: it must be part of the
    trace, or is none to be kept.
    """
    traced = is_recording() or type(like) not in (Tensor, nn.Parameter)
    build = resampling_matrix if traced else _built_once
    return build(source, target, like.dtype, like.device)


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
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
