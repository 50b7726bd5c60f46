"""The form in which a model is exported."""

from __future__ import annotations

import copy

import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from mmsmlp.models.backbones.pyramid import PyramidBackbone

from .blocks import PyramidForm


class UpsampleForm(nn.Module):
    """mmseg's upsampling by an integer, which rounds a product of floats; a tracer cannot.

    Args:
        upsample: The layer.
    """

    def __init__(self, upsample: nn.Module) -> None:
        super().__init__()
        self.factor = int(upsample.scale_factor)
        self.options = dict(mode=upsample.mode, align_corners=upsample.align_corners)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, kH, kW)."""
        size = [self.factor * side for side in x.shape[2:]]
        return F.interpolate(x, size, **self.options)


def is_upsampling(module: nn.Module) -> bool:
    """Whether a module is mmseg's ``Upsample`` by an integer."""
    return (
        type(module).__module__.startswith("mmseg.")
        and type(module).__name__ == "Upsample"
        and not module.size
        and isinstance(module.scale_factor, float)
        and module.scale_factor.is_integer()
    )


def export_form(model: nn.Module, divisor: int = 1) -> nn.Module:
    """The same function in a form that exporters take and runtimes are fast with.

    Batch norms become part of the convolutions before them, in necks and heads as well.

    Args:
        model: A backbone, or a model with one; it is not changed.
        divisor: See :class:`~mmsmlp.deploy.blocks.PyramidForm`.

    Returns:
        A copy in evaluation mode that shares no weight with the model.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    return fuse_conv_bn(_with_forms(_with_own_convolutions(model), divisor))


def _with_own_convolutions(model: nn.Module) -> nn.Module:
    """Let modules that share a convolution have one each, so that each takes in its own norm."""
    seen: set[nn.Module] = set()
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if isinstance(child, _ConvNd):
                setattr(module, name, copy.deepcopy(child) if child in seen else child)
                seen.add(child)
    return model


def _with_forms(module: nn.Module, divisor: int) -> nn.Module:
    if isinstance(module, PyramidBackbone):
        return PyramidForm(module, divisor)
    if is_upsampling(module):
        return UpsampleForm(module)
    for name, child in module.named_children():
        setattr(module, name, _with_forms(child, divisor))
    return module
