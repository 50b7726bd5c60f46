"""Norms of maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from .arguments import check_int
from .precision import without_autocast


class LayerNorm(nn.LayerNorm):
    """``torch.nn.LayerNorm`` that keeps half precision under autocast on CUDA.

    Autocast would convert its input to single precision, and the next layer would convert its
    output back: five times the memory traffic. Its kernel computes statistics in single precision
    anyway.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.normalise(x, self.bias)

    def normalise(self, x: Tensor, bias: Tensor) -> Tensor:
        """The same with another bias."""
        weight = self.weight
        if not (x.is_cuda and x.dtype in (torch.bfloat16, torch.float16)):
            return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)
        with without_autocast(x):
            weight, bias = weight.to(x.dtype), bias.to(x.dtype)
            return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


class LayerNorm2d(LayerNorm):
    """Layer norm over the channels of each token of a map.

    Args:
        channels: Number of channels C.
    """

    def __init__(self, channels: int) -> None:
        check_int("channels", channels)
        super().__init__(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CentredLayerNorm2d(LayerNorm2d):
    """LayerNorm of each token, then subtract the batch mean of each channel.

    After a layer norm all tokens have a common part, which makes a mask head without norms learn
    worse. Like a batch norm, this layer subtracts it: the mean of each channel over the batch (of
    all processes) in training, and its running mean in evaluation. The running mean starts at zero,
    so weights of a plain layer norm give the same output.

    Args:
        channels: Number of channels C.
        momentum: Share of a batch in the running mean.

    Attributes:
        running_mean: ``(C,)``.
    """

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__(channels)
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(channels))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        if prefix + "weight" in state_dict:  # may be of a plain layer norm
            zeros = torch.zeros_like(self.running_mean)
            state_dict = {prefix + "running_mean": zeros, **state_dict}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        if not self.training:
            tokens, bias = x.permute(0, 2, 3, 1), self.bias - self.running_mean
            return self.normalise(tokens, bias).permute(0, 3, 1, 2)
        y, mean = _LessMean.apply(super().forward(x), self.running_mean.dtype)
        if len(x):  # as batch norms do
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
        return y


class _LessMean(torch.autograd.Function):
    """A map less the mean of each channel, and that mean.

    Autograd by itself would add up the gradient in strided sums and spread it over a further map.
    """

    @staticmethod
    def forward(ctx, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        ctx.dtype = dtype
        mean = _mean_of_tokens(x, dtype)
        ctx.mark_non_differentiable(mean)
        return x - mean.to(x.dtype)[:, None, None], mean

    @staticmethod
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:
        return grad - _mean_of_tokens(grad, ctx.dtype).to(grad.dtype)[:, None, None], None


def _mean_of_tokens(x: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, C, H, W) -> (C,), over all processes; for gradients as well."""
    tokens = x.permute(0, 2, 3, 1).flatten(0, 2)
    if not len(tokens):  # their mean would be NaN, for other processes as well
        tokens = tokens.new_zeros(1, tokens.shape[1])
    mean = tokens.mean(dim=0, dtype=dtype)
    if dist.is_available() and dist.is_initialized():
        mean = all_reduce(mean) / dist.get_world_size()
    return mean
