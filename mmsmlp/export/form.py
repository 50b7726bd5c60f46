"""The form in which a model is exported."""

from __future__ import annotations

import copy

import torch
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn

from mmsmlp.backbones.pyramid import PyramidBackbone

from .blocks import PyramidForm


class AdaptivePoolForm(nn.Module):
    """Adaptive average pooling as two products, which exporters have for open sizes as well.

    Args:
        size: Height and width of the result.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, *size)."""
        rows, columns = (
            pooling_matrix(source, target, x)
            for source, target in zip(x.shape[2:], self.size, strict=True)
        )
        return rows @ x @ columns.T


def pooling_matrix(source: int, target: int, like: Tensor) -> Tensor:
    """(target, source): means of the stretches that adaptive pooling cuts a line into."""
    index = torch.arange(target, device=like.device)[:, None]
    first = index * source // target
    beyond = ((index + 1) * source + target - 1) // target
    samples = torch.arange(source, device=like.device)
    inside = (samples >= first) & (samples < beyond)
    return inside.to(like.dtype) / (beyond - first).to(like.dtype)


def export_form(model: nn.Module, divisor: int = 1) -> nn.Module:
    """The same function in a form that exporters take and runtimes are fast with.

    Batch norms become part of the convolutions before them, in necks and heads as well.

    Args:
        model: A backbone, or a model with one; it is left as it is.
        divisor: See :class:`~mmsmlp.export.blocks.PyramidForm`.

    Returns:
        A copy in evaluation mode that shares no weight with the model.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    return fuse_conv_bn(_replace(model, divisor))


def _replace(module: nn.Module, divisor: int) -> nn.Module:
    if isinstance(module, PyramidBackbone):
        return PyramidForm(module, divisor)
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size not in (1, (1, 1)):
        size = module.output_size
        size = size if isinstance(size, tuple) else (size, size)
        return module if None in size else AdaptivePoolForm(size)
    for name, child in module.named_children():
        setattr(module, name, _replace(child, divisor))
    return module
