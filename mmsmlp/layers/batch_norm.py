"""Batch norm of images, whatever they are padded to."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .extents import Extents


def batch_norm_of_images(norm: _BatchNorm, x: Tensor, extents: Extents) -> Tensor:
    """A batch norm in training, by the statistics of the images of a padded batch.

    Its running statistics follow those alone as well. Padding is normalised along with the images.

    Args:
        norm: A batch norm in training mode, synchronised ones included.
        x: ``(N, C, H, W)``.
        extents: Of the images.

    Returns:
        ``(N, C, H, W)``, channels last in memory.
    """
    group = _group_of(norm)
    weight = x.new_ones(x.shape[1]) if norm.weight is None else norm.weight
    bias = x.new_zeros(x.shape[1]) if norm.bias is None else norm.bias
    y, mean, var, count = _BatchNormOfImages.apply(x, weight, bias, extents, norm.eps, group)
    if norm.running_mean is not None and norm.track_running_stats:
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            momentum = norm.momentum
            if momentum is None:
                momentum = 1 / norm.num_batches_tracked.to(mean.dtype)
            unbiased = var * (count / (count - 1).clamp(min=1))
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
            norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), momentum)
    return y


def _group_of(norm: _BatchNorm) -> dist.ProcessGroup | None:
    """The ranks that a norm shares statistics with, if any."""
    if not (isinstance(norm, nn.SyncBatchNorm) and dist.is_available() and dist.is_initialized()):
        return None
    return norm.process_group or dist.group.WORLD


class _BatchNormOfImages(torch.autograd.Function):
    """The normalised map, and mean, variance and number of what it was normalised by."""

    @staticmethod
    def forward(
        ctx,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        extents: Extents,
        eps: float,
        group: dist.ProcessGroup | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dtype = torch.promote_types(x.dtype, torch.float32)
        tokens = _tokens(x).to(dtype)
        inside = extents.inside(dtype).flatten()
        count = extents.num_tokens.sum().to(dtype)
        total = _sum_over(group, torch.cat([inside @ tokens, count[None]]))
        count = total[-1]
        mean = total[:-1] / count
        var = _sum_over(group, inside @ (tokens - mean).square_()) / count
        scale = weight * (var + eps).rsqrt()
        y = torch.addcmul(bias - mean * scale, tokens, scale).to(x.dtype)
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.extents, ctx.eps, ctx.group = extents, eps, group
        ctx.mark_non_differentiable(mean, var, count)
        return _map(y, x), mean, var, count

    @staticmethod
    def backward(ctx, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var, count = ctx.saved_tensors
        tokens, grads = _tokens(x).to(mean.dtype), _tokens(grad).to(mean.dtype)
        inside = ctx.extents.inside(mean.dtype).flatten()
        scale = (var + ctx.eps).rsqrt()
        centred = tokens - mean
        grad_bias = grads.sum(dim=0)
        grad_weight = (centred * grads).sum(dim=0) * scale
        mean_grad, mean_product = (
            _sum_over(ctx.group, torch.stack([grad_bias, grad_weight])) / count
        )
        # Only tokens of images take part in the statistics.
        centred.mul_(scale * mean_product).add_(mean_grad).mul_(inside[:, None])
        grad_x = (grads - centred).mul_(scale * weight).to(x.dtype)
        return _map(grad_x, x), grad_weight, grad_bias, None, None, None


def _tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N·H·W, C), a view if ``x`` has its channels last."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _map(tokens: Tensor, like: Tensor) -> Tensor:
    n, c, h, w = like.shape
    return tokens.view(n, h, w, c).permute(0, 3, 1, 2)


def _sum_over(group: dist.ProcessGroup | None, x: Tensor) -> Tensor:
    if group is not None:
        dist.all_reduce(x, group=group)
    return x
