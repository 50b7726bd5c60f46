"""Linear maps along one spatial axis, learnt at one length and applied at any."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import check_whole
from .extents import Extents
from .linear_maps import axis_linear
from .resampling import cached_resampling_matrix, resampling_matrix, upsample

AXIAL_MODES = ("resample", "window", "relative")
# With as few, oneDNN 3.10 never returns from some convolutions of long kernels in bfloat16.
FEW_CHANNELS = 16


class AxialMixing(nn.Module):
    r"""A linear map along the width or the height, shared by all lines and channels.

    It is the mixing of one branch of sMLP (arXiv 2109.05422, section 3.2), :math:`y = Wx + b` with
    :math:`W` of the native length :math:`L`. What it is at another length :math:`L'` is up to the
    mode, which may be changed at any time:

    - ``'resample'``: :math:`y = U(W(Dx) + b)`, with the line resampled to the native length and
      back (:func:`~mmsmlp.models.layers.resampling_matrix`). It reaches all of the line.
    - ``'window'``: the line is cut into windows of length :math:`L` that share :math:`W`, the last
      one completed by zeros.
    - ``'relative'``: what a token takes from another depends on their offset alone and is the mean
      of that diagonal of :math:`W`, zero beyond :math:`\pm(L - 1)`; its bias is the mean of
      :math:`b`.

    A state dict of another native length is resized as ``'resample'`` does it:
    :math:`W \to UWD, b \to Ub`.

    Args:
        length: Native length L, in tokens.
        dim: The axis to mix: -1 for the width, -2 for the height.
        mode: What to do at another length.
        shift: How many tokens before the first one its window begins, in ``'window'`` mode and
            where more than one window is needed.

    Raises:
        ValueError: If an argument is out of its range; the message names it.
    """

    def __init__(self, length: int, dim: int, mode: str = "resample", shift: int = 0) -> None:
        super().__init__()
        check_whole("length", length)
        if dim not in (-1, -2):
            raise ValueError(f"dim must be -1 (width) or -2 (height), got {dim}")
        check_whole("shift", shift, least=0)
        if shift >= length:
            raise ValueError(f"shift must be in [0, {length}), got {shift}")
        self.length = length
        self.dim = dim
        self.mode = mode
        self.shift = shift
        self.weight = nn.Parameter(torch.empty(length, length))
        self.bias = nn.Parameter(torch.empty(length))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as ``torch.nn.Linear`` does: uniform within ±1/√L."""
        bound = 1 / math.sqrt(self.length)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    @property
    def mode(self) -> str:
        """What to do away from the native length."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in AXIAL_MODES:
            raise ValueError(f"mode must be one of {AXIAL_MODES}, got {mode!r}")
        self._mode = mode

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        names = prefix + "weight", prefix + "bias"
        if all(name in state_dict for name in names):
            resized = resize_axial_map(*(state_dict[name] for name in names), self.length)
            state_dict = {**state_dict, **dict(zip(names, resized, strict=True))}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens along the axis.

        Args:
            x: ``(N, C, H, W)``, of any height and width from 1 on.

        Returns:
            ``(N, C, H, W)``.
        """
        return upsample(self.mix(x), x.shape[2:])

    def mix(self, x: Tensor, extents: Extents | None = None) -> Tensor:
        """Mix tokens, and leave going up to the length of ``x`` to whoever calls.

        Going up is the last step of ``'resample'`` above the native length. It commutes with any
        map of the channels and of the other axis, which cost less before it.

        Args:
            x: ``(N, C, H, W)``.
            extents: Of images to be mixed as if each were alone.

        Returns:
            The mixed map, of the native length where that is the shorter one and the mode is
            ``'resample'``; :func:`bring_back` does what it says.
        """
        if extents is not None:
            return self._mix_images(x, extents)
        length = x.shape[self.dim]
        if length == self.length:
            return axis_linear(x, self.weight, self.bias, self.dim)
        if self.mode == "window":
            return self._mix_windows(x)
        if self.mode == "relative":
            return self._mix_offsets(x)
        down = cached_resampling_matrix(length, self.length, self.weight)
        weight, bias = self.weight @ down, self.bias
        if length < self.length:
            up = cached_resampling_matrix(self.length, length, self.weight)
            weight, bias = up @ weight, up @ bias
        return axis_linear(x, weight, bias, self.dim)

    def _mix_images(self, x: Tensor, extents: Extents) -> Tensor:
        length = x.shape[self.dim]
        if self.mode == "resample":
            down, up = extents.resampling(self.dim, self.length, self.weight)
            weight, bias = self.weight @ down, self.bias.expand(len(down), -1)
            if length <= self.length:
                weight, bias = up @ weight, up @ self.bias
            return axis_linear(x, weight, bias, self.dim)
        x, lengths = extents.without_padding(x), extents.lengths(self.dim)
        if self.mode == "window":
            # Alone, what fits into one window begins with it.
            y, native = self._mix_windows(x), lengths <= self.length
            if length <= self.length or not self.shift:
                return y
        else:
            y, native = self._mix_offsets(x), lengths == self.length
            if length < self.length:
                return y
        line = x.narrow(self.dim, 0, self.length)
        rest = x.narrow(self.dim, self.length, length - self.length)
        mixed = axis_linear(line, self.weight, self.bias, self.dim)
        return torch.where(native[:, None, None, None], torch.cat([mixed, rest], self.dim), y)

    def _mix_windows(self, x: Tensor) -> Tensor:
        length = x.shape[self.dim]
        if length <= self.length:
            return axis_linear(x, self.weight[:length, :length], self.bias[:length], self.dim)
        windows = (length + self.shift + self.length - 1) // self.length
        after = windows * self.length - self.shift - length
        pad = (self.shift, after) if self.dim == -1 else (0, 0, self.shift, after)
        parts = F.pad(x, pad).unflatten(self.dim, (windows, self.length))
        y = axis_linear(parts, self.weight, self.bias, self.dim).flatten(self.dim - 1, self.dim)
        return y.narrow(self.dim, self.shift, length)

    def _mix_offsets(self, x: Tensor) -> Tensor:
        length, channels = x.shape[self.dim], x.shape[1]
        bias = self.bias.mean()
        # A value costs L' multiply-adds as a Toeplitz matrix and 2L - 1 as a convolution.
        if length < 2 * self.length or channels <= FEW_CHANNELS:
            toeplitz = offset_matrix(self.weight, length)
            return axis_linear(x, toeplitz, bias.expand(length), self.dim)
        kernel = diagonal_means(self.weight)
        size, margin = ((1, -1), (0, 1)) if self.dim == -1 else ((-1, 1), (1, 0))
        kernel = kernel.view(1, 1, *size).expand(channels, -1, -1, -1)
        padding = [(self.length - 1) * i for i in margin]
        return F.conv2d(x, kernel, bias.expand(channels), padding=padding, groups=channels)

    def extra_repr(self) -> str:
        return f"{self.length}, dim={self.dim}, mode={self.mode!r}, shift={self.shift}"


def bring_back(x: Tensor, size: tuple[int, int], extents: Extents | None = None) -> Tensor:
    """Bring mixed maps up from their native lengths, see :meth:`AxialMixing.mix`.

    Args:
        x: ``(N, C, H, W)``.
        size: Height and width to be, neither below what it is.
        extents: Of images that each go up by themselves.

    Returns:
        ``x`` with another H and W; ``x`` itself where that is no change.
    """
    if extents is None:
        return upsample(x, size)
    for dim in (-2, -1):
        if x.shape[dim] != size[dim]:
            _, up = extents.resampling(dim, x.shape[dim], x)
            x = axis_linear(x, up, None, dim)
    return x


def diagonal_means(matrix: Tensor) -> Tensor:
    """Mean of every diagonal of a square matrix (L, L), from offset 1 - L to L - 1."""
    index = torch.arange(len(matrix), device=matrix.device)
    offsets = (index - index[:, None] + len(matrix) - 1).flatten()
    sums, ones = matrix.new_zeros(2, 2 * len(matrix) - 1)
    sums = sums.index_add(0, offsets, matrix.flatten())
    return sums / ones.index_add(0, offsets, matrix.new_ones(matrix.numel()))


def offset_matrix(weight: Tensor, length: int) -> Tensor:
    """The Toeplitz matrix (L', L') of the means of the diagonals of a matrix (L, L)."""
    index = torch.arange(length, device=weight.device)
    offsets = (index - index[:, None]).clamp(-len(weight), len(weight))
    return F.pad(diagonal_means(weight), (1, 1))[offsets + len(weight)]


def resize_axial_map(weight: Tensor, bias: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The map that ``'resample'`` makes of another one, as a native map of its own.

    Args:
        weight: W ``(M, M)``.
        bias: b ``(M,)``.
        length: Native length L to be.

    Returns:
        UWD ``(L, L)`` and Ub ``(L,)``; what is no such map, or has the length, is left as it is.
    """
    if weight.ndim != 2 or weight.shape[0] != weight.shape[1] or bias.shape != weight.shape[:1]:
        return weight, bias
    if len(bias) == length:
        return weight, bias
    dtype = torch.promote_types(weight.dtype, torch.float32)
    down = resampling_matrix(length, len(bias), dtype, weight.device)
    up = resampling_matrix(len(bias), length, dtype, weight.device)
    resized = up @ weight.to(dtype) @ down, up @ bias.to(dtype)
    return resized[0].to(weight.dtype), resized[1].to(bias.dtype)
