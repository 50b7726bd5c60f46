"""Images of a batch without the padding that brings them to one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from mmsmlp.models.layers import Extents

from .sharding import most_passes


def image_extents(x: Tensor, counted: bool = False) -> Extents:
    """Where the images of a padded batch end.

    Rows at the bottom and columns at the right that are zero in all channels are padding: the data
    preprocessors of OpenMMLab pad by exactly 0 after normalisation, which maps no grey value of a
    photo there. An image of nothing but zeros is taken to be of full size.

    Args:
        x: ``(N, C, H, W)``.
        counted: Whether norms are to count padding in their statistics.

    Returns:
        The extents in pixels, on the device of ``x``, for which nothing waits.
    """
    filled = (x != 0).any(dim=1)

    def extent(lines: Tensor) -> Tensor:
        """(N, L) -> (N,), the number of the last line that is filled, L if none is."""
        numbers = torch.arange(1, lines.shape[1] + 1, device=x.device)
        last = (lines * numbers).amax(dim=1)
        return last.where(last > 0, lines.shape[1])

    heights, widths = extent(filled.any(dim=2)), extent(filled.any(dim=1))
    return Extents(heights, widths, tuple(x.shape[2:]), counted)


def run_without_padding(
    network: Callable[[Tensor], tuple[Tensor, ...]],
    x: Tensor,
    strides: Sequence[int],
    sharing: Sequence[ProcessGroup] = (),
) -> tuple[Tensor, ...]:
    """Run a pyramid on each image of a padded batch as if it were alone and not padded.

    Images of equal extent run together, cropped to it, which costs less than running the padding.
    Their maps go on beyond the image with their last row and column: what is made of them there,
    such as proposals, is then like that of an image. Maps that end in zeros look like nothing that
    heads have met, and draw proposals.

    Args:
        network: Gives maps of ⌈H/s⌉×⌈W/s⌉ for images of any size.
        x: ``(N, C, H, W)``.
        strides: Stride s of each map.
        sharing: Groups of ranks that gather the network's weights in each pass. They wait for each
            other, so all make as many passes as the one with the most extents.

    Returns:
        Maps of the sizes that ``network(x)`` would give.
    """
    height, width = x.shape[2:]
    groups: dict[tuple[int, int], list[int]] = {}
    extents = image_extents(x)
    # One transfer from the device, which is all that this waits for.
    sizes = torch.stack((extents.heights, extents.widths), dim=1).tolist()
    for i, (h, w) in enumerate(sizes):
        groups.setdefault((h, w), []).append(i)
    for _ in range(most_passes(len(groups), sharing, x.device) - len(groups)):
        network(x[:1, :, :1, :1])
    if groups.keys() <= {(height, width)}:
        return network(x)

    def extend(y: Tensor, stride: int) -> Tensor:
        rows, columns = (
            torch.arange(-(-padded // stride), device=y.device).clamp(max=side - 1)
            for padded, side in zip((height, width), y.shape[2:], strict=True)
        )
        return y[:, :, rows[:, None], columns]

    parts = []
    for (h, w), images in groups.items():
        maps = network(x[images, :, :h, :w])
        parts.append([extend(y, stride) for y, stride in zip(maps, strides, strict=True)])
    order = torch.tensor([i for images in groups.values() for i in images]).argsort()
    return tuple(torch.cat(maps)[order] for maps in zip(*parts, strict=True))
