"""Linear maps along one spatial axis, learnt at one length and applied at any."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .axis_linear import axis_linear
from .resampling import resampling_like, resize_axis

AXIAL_MODES = ("resample", "window", "relative")


class AxialMixing(nn.Module):
    r"""A linear map along the width or the height, shared by all lines and channels.

    It is the mixing of one branch of sMLP (arXiv 2109.05422, section 3.2), :math:`y = Wx + b` with
    :math:`W` of the native length :math:`L`. What it is at another length :math:`L'` is up to the
    mode, which may be changed at any time:

    - ``'resample'``: :math:`y = U(W(Dx) + b)`, with the line resampled to the native length and
      back (:func:`~mmsmlp.layers.resampling_matrix`). It reaches all of the line.
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
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        if dim not in (-1, -2):
            raise ValueError(f"dim must be -1 (width) or -2 (height), got {dim}")
        if not 0 <= shift < length:
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

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens along the axis.

        Args:
            x: ``(N, C, H, W)``, of any height and width from 1 on.

        Returns:
            ``(N, C, H, W)``.
        """
        return resize_axis(self.mix(x), self.dim, x.shape[self.dim])

    def mix(self, x: Tensor) -> Tensor:
        """Mix tokens, and leave going up to the length of ``x`` to whoever calls.

        Going up is the last step of ``'resample'`` above the native length. It commutes with any
        map of the channels and of the other axis, which cost less before it.

        Args:
            x: ``(N, C, H, W)``.

        Returns:
            The mixed map, of the native length where that is the shorter one and the mode is
            ``'resample'``; :func:`~mmsmlp.layers.resize_axis` brings it back.
        """
        length = x.shape[self.dim]
        if length == self.length:
            return axis_linear(x, self.weight, self.dim, self.bias)
        if self.mode == "window":
            return self._mix_windows(x)
        if self.mode == "relative":
            return self._mix_offsets(x)
        weight, bias = self.weight @ resampling_like(self.weight, length, self.length), self.bias
        if length < self.length:
            up = resampling_like(self.weight, self.length, length)
            weight, bias = up @ weight, up @ bias
        return axis_linear(x, weight, self.dim, bias)

    def _mix_windows(self, x: Tensor) -> Tensor:
        length = x.shape[self.dim]
        if length < self.length:
            return axis_linear(x, self.weight[:length, :length], self.dim, self.bias[:length])
        windows = -(-(length + self.shift) // self.length)
        after = windows * self.length - self.shift - length
        pad = (self.shift, after) if self.dim == -1 else (0, 0, self.shift, after)
        parts = F.pad(x, pad).unflatten(self.dim, (windows, self.length))
        y = axis_linear(parts, self.weight, self.dim, self.bias).flatten(self.dim - 1, self.dim)
        return y.narrow(self.dim, self.shift, length)

    def _mix_offsets(self, x: Tensor) -> Tensor:
        length, channels = x.shape[self.dim], x.shape[1]
        index = torch.arange(self.length, device=x.device)
        offset = index - index[:, None] + self.length - 1
        sums = self.weight.new_zeros(2 * self.length - 1)
        sums = sums.index_add(0, offset.flatten(), self.weight.flatten())
        kernel = sums / torch.cat([index + 1, self.length - 1 - index[:-1]])
        bias = self.bias.mean()
        if length < 2 * self.length:
            index = torch.arange(length, device=x.device)
            offset = index - index[:, None]
            toeplitz = kernel[(offset + self.length - 1).clamp(0, 2 * self.length - 2)]
            toeplitz = toeplitz.where(offset.abs() < self.length, 0)
            return axis_linear(x, toeplitz, self.dim, bias.expand(length))
        shape = (1, -1) if self.dim == -1 else (-1, 1)
        padding = (0, self.length - 1) if self.dim == -1 else (self.length - 1, 0)
        weight = kernel.view(shape).expand(channels, 1, *kernel.view(shape).shape)
        return F.conv2d(x, weight, bias.expand(channels), padding=padding, groups=channels)

    def extra_repr(self) -> str:
        return f"{self.length}, dim={self.dim}, mode={self.mode!r}, shift={self.shift}"
