"""Norms of maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .arguments import check_whole
from .batch_norm import batch_norm_of_images
from .extents import Extents
from .precision import without_autocast


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each token of a map.

    Args:
        channels: Number of channels C.
    """

    def __init__(self, channels: int) -> None:
        check_whole("channels", channels)
        super().__init__(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CentredLayerNorm2d(LayerNorm2d):
    """Layer norm of each token, less what the tokens of all images have in common.

    A layer norm leaves all tokens a common part, behind which a mask head without norms learns
    worse. As a batch norm does, this takes it away: the mean of each channel over the batch (of all
    processes) in training, and its running mean in evaluation.
    The running mean starts at zero, so weights made for a plain layer norm give what they gave.

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

    def forward(self, x: Tensor, extents: Extents | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), channels last in memory; the mean is that of images."""
        if not self.training:
            tokens, bias = x.permute(0, 2, 3, 1), self.bias - self.running_mean
            y = F.layer_norm(tokens, self.normalized_shape, self.weight, bias, self.eps)
            return y.permute(0, 3, 1, 2)
        y, mean = _LessMean.apply(super().forward(x), self.running_mean.dtype, extents)
        if len(x):  # as batch norms do
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
        return y


class _LessMean(torch.autograd.Function):
    """A map less the mean of each channel, and that mean.

    Autograd by itself would add up the gradient in strided sums and spread it over a further map.
    """

    @staticmethod
    def forward(
        ctx, x: Tensor, dtype: torch.dtype, extents: Extents | None
    ) -> tuple[Tensor, Tensor]:
        ctx.dtype, ctx.extents = dtype, extents
        mean = _mean_of_tokens(x, dtype, extents)
        ctx.mark_non_differentiable(mean)
        return x - mean.to(x.dtype)[:, None, None], mean

    @staticmethod
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        extents = ctx.extents
        if extents is None:
            mean = _mean_of_tokens(grad, ctx.dtype, None)
            return grad - mean.to(grad.dtype)[:, None, None], None, None
        # All tokens are less the mean, and images alone make it.
        total = mean_of_all(grad.sum(dim=(0, 2, 3), dtype=ctx.dtype))
        share = total / mean_of_all(extents.num_tokens.sum())
        less = extents.inside(grad.dtype) * share.to(grad.dtype)[:, None, None]
        return grad - less, None, None


def _mean_of_tokens(x: Tensor, dtype: torch.dtype, extents: Extents | None) -> Tensor:
    tokens = x.permute(0, 2, 3, 1).flatten(0, 2)
    if extents is None:
        if not len(tokens):  # their mean would be NaN, for other processes as well
            tokens = tokens.new_zeros(1, tokens.shape[1])
        return mean_of_all(tokens.mean(dim=0, dtype=dtype))
    with without_autocast(x):  # which would round it
        total = extents.inside(dtype).flatten() @ tokens.to(dtype)
    return mean_of_all(total) / mean_of_all(extents.num_tokens.sum())


def mean_of_all(x: Tensor) -> Tensor:
    """The mean of a tensor over all processes, for gradients as well."""
    if not (dist.is_available() and dist.is_initialized()):
        return x
    return all_reduce(x) / dist.get_world_size()


def image_norm(norm: nn.Module, x: Tensor, extents: Extents | None) -> Tensor:
    """A norm of maps, whose statistics are those of images without their padding.

    Args:
        norm: Any norm; of batch norms these are the statistics.
        x: ``(N, C, H, W)``.
        extents: Of the images; ``norm(x)`` if not given.

    Returns:
        ``(N, C, H, W)``, zero where padding is.
    """
    if extents is None:
        return norm(x)
    learns = not extents.counted and (norm.training or getattr(norm, "running_mean", 0) is None)
    if learns and isinstance(norm, _BatchNorm):
        return batch_norm_of_images(norm, x, extents)
    y = norm(x, extents) if learns and isinstance(norm, CentredLayerNorm2d) else norm(x)
    return extents.without_padding(y)


def conv_norm(
    x: Tensor, conv: nn.Conv2d, norm: nn.Module, lean: bool, extents: Extents | None = None
) -> Tensor:
    """A convolution and its norm, in one pass if lean and the norm's statistics are fixed.

    Args:
        x: ``(N, C_in, H, W)``.
        conv: The convolution.
        norm: Any norm; only batch norms become part of the convolution.
        lean: Whether nobody looks at what is in between, see :func:`~mmsmlp.models.layers.is_lean`.
        extents: Of images whose statistics the norm takes.

    Returns:
        ``norm(conv(x))``.
    """
    fixed = isinstance(norm, _BatchNorm) and norm.running_var is not None and not norm.training
    # Another module may have taken the place of the convolution; half precision would round the
    # product of kernel and scale.
    plain = type(conv) is nn.Conv2d and conv.weight.dtype in (torch.float32, torch.float64)
    if not (lean and fixed and plain):
        return image_norm(norm, conv(x), extents)
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
