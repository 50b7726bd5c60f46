"""CycleMLP as its authors compute it, to compare with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DeformableCycleFC(nn.Module):
    """A Cycle FC as a deformable 1×1 convolution with constant offsets.

    Args:
        fc: The Cycle FC that it computes.
    """

    def __init__(self, fc: nn.Module) -> None:
        super().__init__()
        self.weight, self.bias = fc.weight, fc.bias
        # Pairs of steps down and to the right, one of each channel.
        offset = torch.zeros(fc.in_features, 2)
        offset[:, fc.dim - 1] = (torch.arange(fc.in_features) + 1) % 3 - 1.0
        self.register_buffer("offset", offset.view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        from torchvision.ops import deform_conv2d

        offset = self.offset.to(x.dtype).expand(len(x), -1, *x.shape[1:3])
        kernel = self.weight[:, :, None, None]
        y = deform_conv2d(x.permute(0, 3, 1, 2), offset, kernel, self.bias)
        return y.permute(0, 2, 3, 1)


def with_deform_conv(network: nn.Module) -> nn.Module:
    """A CycleMLP with the same weights, whose Cycle FCs are deformable convolutions."""
    from mmsmlp.models.layers import CycleFC

    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, CycleFC):
                setattr(module, name, DeformableCycleFC(child))
    return network
