"""Linear layers with a faster CPU kernel."""

from __future__ import annotations

import platform
from functools import lru_cache
from math import prod
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .recording import is_recording

# Below this many multiply-adds, calling a convolution costs more time than it saves.
SMALL_PRODUCT = 2**26
CPUINFO = Path("/proc/cpuinfo")  # of Linux


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.linear``, where it pays as a convolution with a 1×1 kernel.

    On a CPU torch gives products of matrices to MKL and convolutions to oneDNN. MKL uses AVX-512
    only on Intel processors, so on others the same product is faster as a convolution. The
    processor and the size of the product decide. Nothing is timed, so a machine always computes the
    same numbers. On a GPU, on Intel's processors, for small products, in double precision, with a
    single thread (torch gives MKL the convolutions, too, then), and in graphs that are compiled or
    exported, it is ``F.linear``.

    Args:
        x: ``(..., C_in)``.
        weight: ``(C_out, C_in)``.
        bias: ``(C_out,)``.

    Returns:
        ``(..., C_out)``.
    """
    if not _pays_as_convolution(x, weight):
        return F.linear(x, weight, bias)
    # Tokens in a row: a map of height one, channels last.
    tokens = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    y = F.conv2d(tokens, weight[:, :, None, None], bias)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def axis_linear(x: Tensor, weight: Tensor, bias: Tensor | None, dim: int) -> Tensor:
    """:func:`linear` along an axis of choice.

    The result has the memory format of ``x``, and nothing is permuted on the way: contiguous
    tensors and maps that are channels last cost the same.

    Args:
        x: A tensor with L_in entries along the axis.
        weight: ``(L_out, L_in)``.
        bias: ``(L_out,)``.
        dim: The axis.

    Returns:
        ``x`` with L_out instead of L_in.
    """
    dim %= x.ndim
    if is_recording():
        return _axis_linear_recorded(x, weight, bias, dim)
    if is_channels_last(x):
        y = axis_linear(x.permute(0, 2, 3, 1), weight, bias, (0, 3, 1, 2)[dim])
        return y.permute(0, 3, 1, 2)
    if dim == x.ndim - 1:
        return linear(x, weight, bias)
    before, after = x.shape[:dim], x.shape[dim + 1 :]
    lines = x.reshape(prod(before), x.shape[dim], prod(after))
    # Autocast would convert each of the lines' weights.
    weights = weight.to(x.dtype).expand(lines.shape[0], -1, -1)
    y = torch.bmm(weights, lines) if bias is None else torch.baddbmm(bias[:, None], weights, lines)
    return y.view(*before, weight.shape[0], *after)


def _axis_linear_recorded(x: Tensor, weight: Tensor, bias: Tensor | None, dim: int) -> Tensor:
    """The same with no axis moved: their order in memory is for the compiler to choose."""
    if dim == x.ndim - 1:
        return F.linear(x, weight, bias)
    if dim == x.ndim - 2:
        y = weight @ x
        return y if bias is None else y + bias[:, None]
    return F.conv2d(x, weight[:, :, None, None], bias)


def is_channels_last(x: Tensor) -> bool:
    """Whether ``x`` is a map whose channels, and not its columns, are neighbours in memory."""
    return (
        x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    )


class Linear(nn.Linear):
    """``torch.nn.Linear`` by :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., C_in) -> (..., C_out)."""
        return linear(x, self.weight, self.bias)


def _pays_as_convolution(x: Tensor, weight: Tensor) -> bool:
    return (
        x.is_cpu
        and not is_recording()
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.shape[:-1].numel() * weight.numel() >= SMALL_PRODUCT
        and convolutions_are_faster()
        and torch.backends.mkldnn.enabled
        and torch.get_num_threads() > 1
    )


@lru_cache(maxsize=1)
def convolutions_are_faster() -> bool:
    """Whether oneDNN may use AVX-512 here and MKL does not."""
    return (
        torch.backends.mkl.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and not _made_by_intel()
    )


def _made_by_intel() -> bool:
    text = CPUINFO.read_text() if CPUINFO.exists() else platform.processor()
    return "GenuineIntel" in text
