"""The sparse MLP of sMLPNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .arguments import check_whole, check_wholes
from .axial import AxialMixing, bring_back
from .extents import Extents
from .fusion import ConcatFusion, Sum, WeightedSum


class SparseMLP(nn.Module):
    """sMLP: rows and columns mixed apart, then fused with the identity.

    Source: arXiv 2109.05422, section 3.2. The three branches are concatenated in the order
    identity, row, column. Mapping tokens and fusing channels commute: above the native size a
    branch is fused at its native length, where it has fewer tokens, and brought back last.
    ``fusion``, ``identity`` and ``sequential`` are the ablations of section 4.

    Args:
        channels: Number of channels C.
        grid: Native (height, width) of the map, in tokens.
        fusion: How the branches become one: ``'concat'`` and a linear map, ``'sum'`` or
            ``'weighted_sum'``.
        identity: Whether the identity is a branch.
        sequential: Whether columns are mixed after the rows, in the same branch.
        shifted: Whether the windows of the axial mode ``'window'`` are shifted by half a window.

    Raises:
        ValueError: If ``fusion`` is another, or an argument is out of its range.
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        fusion: str = "concat",
        identity: bool = True,
        sequential: bool = False,
        shifted: bool = False,
    ) -> None:
        super().__init__()
        check_whole("channels", channels)
        check_wholes("grid", grid)
        if len(grid) != 2:
            raise ValueError(f"grid must be (height, width), got {grid}")
        height, width = grid
        self.identity = bool(identity)
        self.sequential = sequential
        self.row = AxialMixing(width, dim=-1, shift=width // 2 if shifted else 0)
        self.column = AxialMixing(height, dim=-2, shift=height // 2 if shifted else 0)
        num_branches = self.identity + (1 if sequential else 2)
        if fusion == "concat":
            self.fuse = ConcatFusion(channels, num_branches)
        elif fusion == "weighted_sum":
            self.fuse = WeightedSum(channels, num_branches)
        elif fusion == "sum":
            self.fuse = Sum()
        else:
            raise ValueError(f"fusion must be 'concat', 'sum' or 'weighted_sum', got {fusion!r}")

    def forward(self, x: Tensor, extents: Extents | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), for any H and W."""
        branches = [(self.row, self.column)] if self.sequential else [(self.row,), (self.column,)]
        maps = [
            self._branch(k, axials, x, extents)
            for k, axials in enumerate(branches, int(self.identity))
        ]
        if self.identity:
            maps.append(self.fuse.map(0, x))
        y, *others = maps
        if extents is not None:
            # The first branch is a view, and a gradient would have to be copied for it.
            return sum(others, y)
        # In place: the first branch is a tensor of its own, and no gradient needs its values.
        for other in others:
            y += other
        return y

    def _branch(
        self, k: int, axials: Sequence[AxialMixing], x: Tensor, extents: Extents | None
    ) -> Tensor:
        """Map ``k`` of the fusion, made by axial maps one after the other."""
        y = x
        for axial in axials:
            y = axial.mix(y, extents)
        return bring_back(self.fuse.map(k, y), x.shape[2:], extents)
