"""The activation of all networks."""

from __future__ import annotations

from contextvars import ContextVar

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from .linear_maps import is_channels_last
from .recording import is_recording

# Input of each GELU by the memory of its output and the version of that, while
# :func:`~mmsmlp.models.layers.recompute_gelu` runs a module.
GELU_INPUTS: ContextVar[dict[tuple[StorageWeakRef, int], Tensor] | None] = ContextVar(
    "GELU_INPUTS", default=None
)


class GELU(nn.GELU):
    """GELU of a map in either memory format.

    On a CPU torch has a fast form for contiguous tensors. Maps that are channels last are
    contiguous with their axes in another order, which makes no difference to a GELU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; maps keep their memory format."""
        if is_recording():
            return super().forward(x)
        if is_channels_last(x):
            return self.forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = super().forward(x)
        if y.requires_grad:
            if y.is_contiguous():
                # Torch 2.1 takes a gradient in another memory format for one in this.
                y.register_hook(Tensor.contiguous)
            if (inputs := GELU_INPUTS.get()) is not None:
                inputs[StorageWeakRef(y.untyped_storage()), y._version] = x.detach()
        return y
