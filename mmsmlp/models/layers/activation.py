"""The activation of all networks."""

from __future__ import annotations

from collections.abc import Callable

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

    def then(self, function: Callable[[Tensor], Tensor], x: Tensor, inplace: bool) -> Tensor:
        """``function(gelu(x))``, which keeps no GELU for the backward pass.

        What the function would keep of it is computed again from ``x``, which the GELU keeps
        anyway: a GELU costs less than the memory.
        """
        y = self(x, inplace)
        if not y.requires_grad or is_recording() or _saving_is_taken():
            return function(y)
        kept, storage = x.detach(), y.untyped_storage()._cdata

        def pack(saved: Tensor) -> Tensor | tuple:
            if saved.untyped_storage()._cdata != storage:
                return saved
            return saved.size(), saved.stride(), saved.storage_offset()

        def unpack(packed: Tensor | tuple) -> Tensor:
            return packed if isinstance(packed, Tensor) else self.forward(kept).as_strided(*packed)

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            return function(y)


def _saving_is_taken() -> bool:
    """Whether what is kept is somebody else's affair, such as checkpointing's; or who knows."""
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(True) is not None
