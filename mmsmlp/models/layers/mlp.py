"""The channel MLP that all networks share."""

from __future__ import annotations

from torch import Tensor, nn

from .activation import GELU
from .arguments import check_positive, check_whole
from .lean import is_lean
from .linear_maps import Linear


class ChannelMLP(nn.Module):
    """Two linear layers over the channels of each token, with a GELU in between.

    Args:
        channels: Number of channels C.
        mlp_ratio: Width of the hidden layer, as a multiple of C (α of the sMLPNet paper).
    """

    def __init__(self, channels: int, mlp_ratio: float) -> None:
        super().__init__()
        check_whole("channels", channels)
        check_positive("mlp_ratio", mlp_ratio)
        hidden = int(channels * mlp_ratio)
        if not hidden:
            raise ValueError(f"mlp_ratio must be at least 1/{channels}, got {mlp_ratio}")
        self.fc1 = Linear(channels, hidden)
        self.act = GELU()
        self.fc2 = Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.act.then(self.fc2, self.fc1(x), inplace=is_lean(self))
