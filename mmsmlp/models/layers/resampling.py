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
    samples, centres = (torch.arange(length, device=device) for length in (source, target))
    dtype = dtype or torch.get_default_dtype()
    return _normalised(_triangles(samples, centres[:, None], source, target, dtype), dtype)


def resampling_matrices(
    sources: Tensor, targets: Tensor, size: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """:func:`resampling_matrix` of lines that differ in length, padded to one size.

    Args:
        sources: ``(N,)``, numbers of samples to read.
        targets: ``(N,)``, numbers of samples to make.
        size: Rows and columns of the result. Rows beyond the target repeat the last one, columns
            beyond the source are zero.
        dtype: Of the result.

    Returns:
        ``(N, *size)``.
    """
    sources, targets = sources[:, None, None], targets[:, None, None]
    rows, columns = (torch.arange(length, device=sources.device) for length in size)
    centres = torch.minimum(rows[:, None], targets - 1)
    triangles = _triangles(columns, centres, sources, targets, dtype)
    return _normalised(triangles * (columns < sources), dtype)


def _triangles(
    samples: Tensor,
    centres: Tensor,
    source: int | Tensor,
    target: int | Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """Weights of the samples of a line around those that are made of it."""
    # Built in at least float32: in half precision the rows would not sum to one. Distances are
    # whole numbers, with 2 source·target to the line: equal ones are equal in any batch.
    build_dtype = torch.promote_types(dtype, torch.float32)
    distance = ((2 * samples + 1) * target - (2 * centres + 1) * source).abs().to(build_dtype)
    # The wider of both kernels, going up or down: no graph has to know which one it is.
    return torch.maximum(1 - distance / (2 * target), 1 - distance / (2 * source)).clamp(min=0)


def _normalised(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    return (matrix / matrix.sum(dim=-1, keepdim=True)).to(dtype)


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
