"""Which part of a padded map is the image, for each image of a batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .resampling import resampling_matrices


class Extents:
    """Where the images of a padded batch end, as tensors on the device that they are on.

    Everything that a stage makes of them is made once and shared by its blocks.

    Args:
        heights: ``(N,)``, rows of each image in tokens, at least 1.
        widths: ``(N,)``, columns.
        size: Height and width of the padded map.
        counted: Whether norms count padding in their statistics all the same.
    """

    def __init__(
        self, heights: Tensor, widths: Tensor, size: tuple[int, int], counted: bool = False
    ) -> None:
        self.heights = heights
        self.widths = widths
        self.size = size
        self.counted = counted
        self._made: dict[Hashable, Any] = {}

    def merged(self, patch_size: int) -> Extents:
        """The same images after a patch merging, which completes the last patch of each."""
        if patch_size == 1:
            return self
        heights, widths, *size = (
            (length + patch_size - 1) // patch_size
            for length in (self.heights, self.widths, *self.size)
        )
        return Extents(heights, widths, tuple(size), self.counted)

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What ``make`` makes, made at the first call with that key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def lengths(self, dim: int) -> Tensor:
        """(N,), of the height (-2) or the width (-1) of a map."""
        return self.heights if dim == -2 else self.widths

    @cached_property
    def padding(self) -> Tensor:
        """(N, H, W), whether a token is padding."""
        rows, columns = (torch.arange(side, device=self.heights.device) for side in self.size)
        below = rows >= self.heights[:, None]
        right = columns >= self.widths[:, None]
        return below[:, :, None] | right[:, None]

    def inside(self, dtype: torch.dtype) -> Tensor:
        """(N, 1, H, W), one where the images are and zero elsewhere."""
        return self.once(("inside", dtype), lambda: (~self.padding)[:, None].to(dtype))

    @cached_property
    def num_tokens(self) -> Tensor:
        """(N,), of the images."""
        return self.heights * self.widths

    def without_padding(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, zero where padding is."""
        return x.masked_fill(self.padding[:, None], 0)

    def extended(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> the same, going on over the padding with the last row and column."""
        return _Extended.apply(x, self)

    def resampling(self, dim: int, native: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Of lines of each image to a native length (N, L, L') and back (N, L', L).

        Padding has no part in the first, and goes on with the image's last token in the second.

        Args:
            dim: The axis of the lines, -2 or -1.
            native: L.
            like: Has the data type.
        """

        def make() -> tuple[Tensor, Tensor]:
            lengths, length = self.lengths(dim), self.size[dim]
            natives = torch.full_like(lengths, native)
            return (
                resampling_matrices(lengths, natives, (native, length), like.dtype),
                resampling_matrices(natives, lengths, (length, native), like.dtype),
            )

        return self.once(("resampling", dim, native, like.dtype), make)


class _Extended(torch.autograd.Function):
    """A gather, whose gradient autograd would add up token by token."""

    @staticmethod
    def forward(ctx, x: Tensor, extents: Extents) -> Tensor:
        ctx.extents = extents
        index = extents.once("nearest", lambda: _nearest_tokens(extents))
        return x.flatten(0, 2).index_select(0, index).view(x.shape)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        extents, grad = ctx.extents, grad.clone(memory_format=torch.contiguous_format)
        images = torch.arange(len(grad), device=grad.device)
        height, width = extents.size
        rows, columns = (torch.arange(side, device=grad.device) for side in (height, width))
        below = (rows >= extents.heights[:, None]).to(grad.dtype)
        right = (columns >= extents.widths[:, None]).to(grad.dtype)
        last_row = images, extents.heights - 1
        last_column = images, slice(None), extents.widths - 1
        grad[last_row] += (below[:, None] @ grad.flatten(2)).view(-1, *grad.shape[2:])
        grad[last_column] += (right[:, None, None] @ grad)[:, :, 0]
        return grad.masked_fill_(extents.padding[..., None], 0), None


def _nearest_tokens(extents: Extents) -> Tensor:
    """(N·H·W,), the number of the token of the image that is nearest to each token."""
    height, width = extents.size
    device = extents.heights.device
    images = torch.arange(len(extents.heights), device=device)[:, None, None]
    rows, columns = (
        torch.minimum(torch.arange(side, device=device), lengths[:, None] - 1)
        for side, lengths in ((height, extents.heights), (width, extents.widths))
    )
    return ((images * height + rows[:, :, None]) * width + columns[:, None]).flatten()
