"""The sparse MLP of sMLPNet."""

from __future__ import annotations

from torch import Tensor, nn

from .axial import AxialMixing
from .fusion import ConcatFusion, Sum, WeightedSum


class SparseMLP(nn.Module):
    """sMLP: rows and columns mixed apart, then fused with the identity.

    Source: arXiv 2109.05422, section 3.2. The three branches are concatenated in the order
    identity, row, column. The last three arguments are the ablations of section 4.

    Args:
        channels: Number of channels C.
        grid: Native (height, width) of the map, in tokens.
        fusion: How the branches become one: ``'concat'`` and a linear map, ``'sum'`` or
            ``'weighted_sum'``.
        identity: Whether the identity is a branch.
        sequential: Whether columns are mixed after the rows, in the same branch.

    Raises:
        ValueError: If ``fusion`` is another.
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        fusion: str = "concat",
        identity: bool = True,
        sequential: bool = False,
    ) -> None:
        super().__init__()
        height, width = grid
        self.identity = identity
        self.sequential = sequential
        self.row = AxialMixing(width, dim=-1)
        self.column = AxialMixing(height, dim=-2)
        num_branches = identity + (1 if sequential else 2)
        if fusion == "concat":
            self.fuse = ConcatFusion(channels, num_branches)
        elif fusion == "weighted_sum":
            self.fuse = WeightedSum(channels, num_branches)
        elif fusion == "sum":
            self.fuse = Sum()
        else:
            raise ValueError(f"fusion must be 'concat', 'sum' or 'weighted_sum', got {fusion!r}")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), for any H and W."""
        row = self.row(x)
        branches = [self.column(row)] if self.sequential else [row, self.column(x)]
        return self.fuse([x, *branches] if self.identity else branches)
