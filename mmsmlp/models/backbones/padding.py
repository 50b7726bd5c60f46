"""Images of a batch without the padding that brings them to one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def image_sizes(x: Tensor) -> list[tuple[int, int]]:
    """Height and width of each image of a padded batch.

    Rows at the bottom and columns at the right that are zero in all channels are padding: the data
    preprocessors of OpenMMLab pad by exactly 0 after normalisation, which maps no grey value of a
    photo there. An image with only zeros has no padding.

    Args:
        x: ``(N, C, H, W)``. A GPU is waited for, once.
    """
    filled = (x != 0).any(dim=1)

    def length(lines: Tensor) -> Tensor:
        """(N, L) -> (N,), the number of the last line that is filled, L if none is."""
        numbers = torch.arange(1, lines.shape[1] + 1, device=x.device)
        last = (lines * numbers).amax(dim=1)
        return last.where(last > 0, lines.shape[1])

    sizes = torch.stack([length(filled.any(dim=2)), length(filled.any(dim=1))], dim=1)
    return [(height, width) for height, width in sizes.tolist()]


def run_cropped(
    network: Callable[[Tensor], Sequence[Tensor]], x: Tensor, strides: Sequence[int]
) -> list[Tensor]:
    """Run a pyramid on each image of a padded batch as if it were alone and not padded.

    Images of equal size run together, which costs less than running the padding. Over the padding,
    the last row and column of their maps are replicated: zero features are out of distribution for
    the heads and cause false proposals.

    Args:
        network: Gives maps of ⌈H/s⌉×⌈W/s⌉ for images of any size.
        x: ``(N, C, H, W)``.
        strides: Stride s of each map.

    Returns:
        Maps of the sizes that ``network(x)`` would give.
    """
    sizes = image_sizes(x)
    padded = [[-(-side // stride) for side in x.shape[2:]] for stride in strides]

    def run(images: Tensor, height: int, width: int) -> list[Tensor]:
        maps = network(images[:, :, :height, :width])
        return [replicate_pad(y, size) for y, size in zip(maps, padded, strict=True)]

    if len(set(sizes)) <= 1:
        return run(x, *(sizes[0] if sizes else x.shape[2:]))
    # Slices and lists of images: an index would be copied from the host.
    maps_of: dict[int, Sequence[Tensor]] = {}
    for size in dict.fromkeys(sizes):
        indices = [i for i, other in enumerate(sizes) if other == size]
        maps = run(torch.cat([x[i : i + 1] for i in indices]), *size)
        maps_of |= zip(indices, zip(*(y.split(1) for y in maps), strict=True), strict=True)
    return [torch.cat(images) for images in zip(*map(maps_of.get, range(len(x))), strict=True)]


def replicate_pad(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Replicate-pad maps (N, C, H, W) at the bottom and right up to a size."""
    for dim, length in zip((-2, -1), size, strict=True):
        if length > x.shape[dim]:
            border = x.narrow(dim, x.shape[dim] - 1, 1)
            shape = list(x.shape)
            shape[dim] = length - x.shape[dim]
            x = torch.cat([x, border.expand(shape)], dim)
    return x


def is_sharded(network: nn.Module) -> bool:
    """Whether parts of a network gather their weights from other ranks when they run.

    Weights that are already gathered, like the complete model's while it runs, do not count.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return False
    from torch.distributed.fsdp import FullyShardedDataParallel

    return any(isinstance(part, FullyShardedDataParallel) for part in network.modules()) or any(
        # `fully_shard` makes DTensors, whose module has another name in torch 2.1.
        placement.is_shard()
        for parameter in network.parameters()
        for placement in getattr(parameter, "placements", ())
    )
