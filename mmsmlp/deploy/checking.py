"""Whether an exported file computes what its model does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from mmsmlp.errors import ExportError

from .exporters import one_line
from .parts import Part
from .runtimes import Exported

# Below the native size of most networks, odd, at it, and above; each with both batches.
SIZES = ((32, 32), (97, 61), (224, 224), (160, 256), (288, 416))
BATCHES = (1, 3)
# The largest difference from eager, relative to the largest value of a map. Quantization answers to
# the accuracy alone.
TOLERANCES = dict(fp32=1e-4, fp16=0.03, bf16=0.1, int8=float("inf"))


class Difference(NamedTuple):
    """What a comparison found.

    Attributes:
        largest: Relative to the largest value of a map.
        refused: Sizes that the model itself does not take.
    """

    largest: float
    refused: list[str]


@torch.no_grad()
def largest_difference(
    part: Part,
    exported: Exported,
    sizes: Sequence[tuple[int, int]] = SIZES,
    batches: Sequence[int] = BATCHES,
) -> Difference:
    """Compare a file with the eager model, on noise.

    Args:
        part: What was exported, as the model has it.
        exported: The file.
        sizes: Of the images.
        batches: Of the images.

    Returns:
        The largest difference.

    Raises:
        ExportError: If a map has another shape, the runtime fails, or the model takes no size.
    """
    generator = torch.Generator().manual_seed(0)
    worst, refused = 0.0, []
    for height, width in sizes:
        for batch in batches:
            image = torch.randn(batch, 3, height, width, generator=generator)
            where = f"{batch} of {height}x{width}"
            try:
                eager = part(image)
            except RuntimeError:  # maps that do not fit together, or have nothing left
                refused.append(f"{height}x{width}")
                break
            try:
                found = exported.tensors(image)
            except Exception as error:  # every runtime has its own
                raise ExportError(
                    f"the file does not run with {where}: {one_line(error)}"
                ) from error
            for expected, y in zip(eager, found, strict=True):
                if y.shape != expected.shape:
                    shapes = f"{tuple(y.shape)}, not {tuple(expected.shape)}"
                    raise ExportError(f"with {where}, the file gives {shapes}")
                scale = expected.abs().max().clamp(min=1e-12)
                worst = max(worst, float((y - expected).abs().max() / scale))
    if len(refused) == len(sizes):
        raise ExportError(f"the model takes no image of {', '.join(refused)}")
    return Difference(worst, refused)
