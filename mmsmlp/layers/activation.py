"""The activation of all networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .linear_maps import is_channels_last
from .recording import is_recording


class GELU(nn.GELU):
    """GELU of a map in either memory format.

    On a CPU torch has a fast form for contiguous tensors. Maps that are channels last are
    contiguous with their axes in another order, which makes no difference to a GELU.
    """

    def forward(self, x: Tensor, inplace: bool = False) -> Tensor:
        """Any shape; maps keep their memory format."""
        if is_recording():
            return super().forward(x)
        if is_channels_last(x):
            return self.forward(x.permute(0, 2, 3, 1), inplace).permute(0, 3, 1, 2)
        if inplace:
            return torch.ops.aten.gelu_(x)
        y = super().forward(x)
        if y.requires_grad and y.is_contiguous():
            # Torch 2.1 takes a gradient in another memory format for one in this.
            y.register_hook(Tensor.contiguous)
        return y
