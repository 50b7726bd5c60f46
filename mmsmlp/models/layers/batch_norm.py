"""Batch norm of images, whatever they are padded to."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .extents import Extents
from .lean import in_parts
from .precision import without_autocast


def batch_norm_of_images(norm: _BatchNorm, x: Tensor, extents: Extents) -> Tensor:
    """A batch norm in training, by the statistics of the images of a padded batch.

    Its running statistics follow those alone as well.

    Args:
        norm: A batch norm in training mode, synchronised ones included.
        x: ``(N, C, H, W)``.
        extents: Of the images.

    Returns:
        ``(N, C, H, W)``, channels last in memory, zero where padding is.
    """
    group = _group_of(norm)
    weight = x.new_ones(x.shape[1]) if norm.weight is None else norm.weight
    bias = x.new_zeros(x.shape[1]) if norm.bias is None else norm.bias
    with without_autocast(x):  # which would round sums over all tokens
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
    """The normalised map, and mean, variance and number of what it was normalised by.

    Torch's own takes no mask. This reads and writes each map as often, a part that fits into the
    cache of a CPU at a time.
    """

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
        tokens, inside = _tokens(x), _tokens(extents.inside(dtype))
        count = extents.num_tokens.sum().to(dtype)
        total = sum(m.T @ t.to(dtype) for t, m in in_parts(tokens, inside))[0]
        total = _sum_over(group, torch.cat([total, count[None]]))
        count = total[-1]
        mean = total[:-1] / count
        squares = sum(m.T @ (t - mean).square_() for t, m in in_parts(tokens, inside))
        var = _sum_over(group, squares[0]) / count
        scale = weight * (var + eps).rsqrt()
        offset = bias - mean * scale
        y = torch.empty_like(tokens)
        for t, m, part in in_parts(tokens, inside, y):
            torch.mul(torch.addcmul(offset, t, scale), m, out=part)
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.extents, ctx.eps, ctx.group = extents, eps, group
        ctx.mark_non_differentiable(mean, var, count)
        return _map(y, x), mean, var, count

    @staticmethod
    def backward(ctx, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var, count = ctx.saved_tensors
        dtype = mean.dtype
        tokens, grads = _tokens(x), _tokens(grad)
        inside = _tokens(ctx.extents.inside(dtype))
        scale = (var + ctx.eps).rsqrt()
        grad_weight, grad_bias = torch.zeros_like(mean), torch.zeros_like(mean)
        for t, g, m in in_parts(tokens, grads, inside):
            g = g.to(dtype)
            grad_bias += (m.T @ g)[0]
            grad_weight += (m.T @ (t - mean).mul_(g))[0]
        grad_weight *= scale
        shared = torch.stack([grad_bias, grad_weight])
        mean_grad, mean_product = _sum_over(ctx.group, shared) / count
        slope = scale * mean_product
        grad_x = torch.empty_like(tokens)
        for t, g, m, part in in_parts(tokens, grads, inside, grad_x):
            own = torch.addcmul(mean_grad, t - mean, slope)
            torch.sub(g, own, out=part).mul_(scale * weight).mul_(m)
        return _map(grad_x, x), grad_weight, grad_bias, None, None, None


def _tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N·H·W, C), a view if ``x`` has its channels last."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _map(tokens: Tensor, like: Tensor) -> Tensor:
    n, c, h, w = like.shape
    return tokens.view(n, h, w, c).permute(0, 3, 1, 2)


def _sum_over(group: dist.ProcessGroup | None, x: Tensor) -> Tensor:
    if group is None:
        return x
    x = x.clone()
    dist.all_reduce(x, group=group)
    return x
