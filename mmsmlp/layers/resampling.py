"""Linear resampling of lines of samples, as a matrix."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


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
    matrix = (1 - distance / max(ratio, 1.0)).clamp(min=0)
    return (matrix / matrix.sum(dim=1, keepdim=True)).to(dtype)


@lru_cache(maxsize=1024)
def _cached(source: int, target: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # A tensor made in inference mode could not take part in training later.
    with torch.inference_mode(False):
        return resampling_matrix(source, target, dtype, device)


def resampling_like(x: Tensor, source: int, target: int) -> Tensor:
    """:func:`resampling_matrix` of the data type and device of ``x``, built once; leave it as is.

    Tracers get one of their own, for what they trace must not outlive them.
    """
    if torch.compiler.is_compiling() or type(x) not in (Tensor, torch.nn.Parameter):
        return resampling_matrix(source, target, x.dtype, x.device)
    return _cached(source, target, x.dtype, x.device)


def resize_axis(x: Tensor, dim: int, length: int) -> Tensor:
    """Bring an axis up to a length, as :func:`resampling_matrix` does.

    Every value takes two neighbours only, which is less than a product with the matrix.

    Args:
        x: ``(N, C, H, W)``.
        dim: The axis: -1 for the width, -2 for the height.
        length: Its length to be, not below what it is.
    """
    if x.shape[dim] == length:
        return x
    size = (x.shape[2], length) if dim == -1 else (length, x.shape[3])
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
