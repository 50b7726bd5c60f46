"""The channel MLP that all networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks

from .activation import GELU
from .arguments import check_int, check_positive
from .linear_maps import Linear
from .recording import is_recording

# As many as have the hidden layer in a CPU's cache.
TOKENS_AT_A_TIME = 8192


class ChannelMLP(nn.Module):
    """Two linear layers over the channels of each token, with a GELU in between.

    Args:
        channels: Number of channels C.
        mlp_ratio: Width of the hidden layer, as a multiple of C (α of the sMLPNet paper).
    """

    def __init__(self, channels: int, mlp_ratio: float) -> None:
        super().__init__()
        check_int("channels", channels)
        check_positive("mlp_ratio", mlp_ratio)
        hidden = int(channels * mlp_ratio)
        if not hidden:
            raise ValueError(f"mlp_ratio must be at least 1/{channels}, got {mlp_ratio}")
        self.fc1 = Linear(channels, hidden)
        self.act = GELU()
        self.fc2 = Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        if x.is_cpu and self._can_run_inplace():
            return self._forward_in_chunks(x)
        return self.fc2(self.act(self.fc1(x)))

    def _forward_in_chunks(self, x: Tensor) -> Tensor:
        """The same with a hidden layer that a CPU's cache has room for, overwritten by the GELU."""
        chunks = x.reshape(-1, x.shape[-1]).split(TOKENS_AT_A_TIME)
        parts = [self.fc2(torch.ops.aten.gelu_(self.fc1(chunk))) for chunk in chunks]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).view(x.shape)

    def _can_run_inplace(self) -> bool:
        """Whether no backward pass, recorded graph or hook needs the hidden values."""
        if torch.is_grad_enabled() or is_recording():
            return False
        layers = self.fc1, self.act, self.fc2
        plain = [type(layer) for layer in layers] == [Linear, GELU, Linear]
        return plain and not has_forward_hooks(*layers)


def has_forward_hooks(*modules: nn.Module) -> bool:
    """Whether one of the modules has a hook on its input or output."""
    hooks = [_global_forward_hooks, _global_forward_pre_hooks]
    for module in modules:
        hooks += [module._forward_hooks, module._forward_pre_hooks]
    return any(hooks)
