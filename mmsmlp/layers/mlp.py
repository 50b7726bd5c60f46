"""The channel MLP that all networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .recording import is_recording

TOKENS_AT_A_TIME = 4096


class ChannelMLP(nn.Module):
    """Two linear layers over the channels of each token, with a GELU in between.

    Args:
        channels: Number of channels C.
        mlp_ratio: Width of the hidden layer, as a multiple of C (α of the sMLPNet paper).
    """

    def __init__(self, channels: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(channels * mlp_ratio)
        self.fc1 = nn.Linear(channels, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        # Tokens do not meet here. A CPU is faster with as many at a time as have their hidden layer
        # in its cache; where a backward pass is to come, that of all tokens is kept anyway.
        if x.is_cpu and not torch.is_grad_enabled() and not is_recording():
            parts = x.flatten(0, -2).split(TOKENS_AT_A_TIME)
            return torch.cat([self._map(part) for part in parts]).view(x.shape)
        return self._map(x)

    def _map(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))
