"""Linear maps along one spatial axis, learnt at one length and applied at any."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .arguments import check_int
from .linear_maps import axis_linear
from .precision import without_autocast
from .resampling import cached_resampling_matrix, resampling_matrix, upsample


class AxialMixing(nn.Module):
    r"""A linear map along the width or the height, shared by all lines and channels.

    It is the mixing of one branch of sMLP (arXiv 2109.05422, section 3.2), :math:`y = Wx + b` with
    :math:`W` of the native length :math:`L`. At another length, the line is resampled to the native
    one and back (:func:`~mmsmlp.models.layers.resampling_matrix`): :math:`y = U(W(Dx) + b)`.

    A state dict of another native length is resized in the same way: :math:`W \to UWD, b \to Ub`.

    Args:
        length: Native length L, in tokens.
        dim: The axis to mix: -1 for the width, -2 for the height.

    Raises:
        ValueError: If an argument is out of its range; the message names it.
    """

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        check_int("length", length)
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

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        names = prefix + "weight", prefix + "bias"
        if all(name in state_dict for name in names):
            resized = resize_axial_map(*(state_dict[name] for name in names), self.length)
            state_dict = {**state_dict, **dict(zip(names, resized, strict=True))}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Tensor, native: bool = False) -> Tensor:
        """Mix tokens of any H and W.

        Args:
            x: ``(N, C, H, W)``.
            native: Whether the caller upsamples. That commutes with linear maps of the channels
                and of the other axis, which cost less before it.

        Returns:
            The mixed map ``(N, C, H, W)``; if ``native``, with the native length where that is the
            shorter one.
        """
        length, weight, bias = x.shape[self.dim], self.weight, self.bias
        with without_autocast(x):  # which would convert both factors
            if length != self.length:
                weight = weight @ cached_resampling_matrix(length, self.length, weight)
            if length < self.length:
                up = cached_resampling_matrix(self.length, length, weight)
                weight, bias = up @ weight, up @ bias
        y = axis_linear(x, weight, bias, self.dim)
        return y if native else upsample(y, x.shape[2:])

    def extra_repr(self) -> str:
        return f"{self.length}, dim={self.dim}"


def resize_axial_map(weight: Tensor, bias: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Resample a map to another native length.

    Args:
        weight: W ``(M, M)``.
        bias: b ``(M,)``.
        length: Native length L to be.

    Returns:
        UWD ``(L, L)`` and Ub ``(L,)``; other tensors, and maps of this length, are returned
        unchanged.
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
