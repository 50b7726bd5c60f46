"""Norms of maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each token of a map.

    Args:
        channels: Number of channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.Module, lean: bool) -> Tensor:
    """A convolution and its norm, in one pass if lean and the norm's statistics are fixed.

    Args:
        x: ``(N, C_in, H, W)``.
        conv: The convolution.
        norm: Any norm; only batch norms become part of the convolution.
        lean: Whether nobody looks at what is in between, see :func:`~mmsmlp.layers.is_lean`.

    Returns:
        ``norm(conv(x))``.
    """
    fixed = isinstance(norm, _BatchNorm) and norm.running_var is not None and not norm.training
    # Another module may have taken the place of the convolution; half precision would round the
    # product of kernel and scale.
    plain = type(conv) is nn.Conv2d and conv.weight.dtype in (torch.float32, torch.float64)
    if not (lean and fixed and plain):
        return norm(conv(x))
    weight, bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    return conv._conv_forward(x, weight, bias)
