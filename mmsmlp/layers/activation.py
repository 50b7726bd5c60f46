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
        if is_channels_last(x) and not is_recording():
            return self.forward(x.permute(0, 2, 3, 1), inplace).permute(0, 3, 1, 2)
        return torch.ops.aten.gelu_(x) if inplace else super().forward(x)
