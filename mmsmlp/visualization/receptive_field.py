"""The effective receptive field: which pixels a token depends on, and how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from .style import SEQUENTIAL, new_figure

# Gradients below this share of the largest one are shown as zero.
FLOOR = 1e-3
PANEL = 2.2  # inches


def receptive_fields(
    network: Callable[[Tensor], Sequence[Tensor]],
    images: Iterable[Tensor],
    seed: int = 0,
    at: tuple[float, float] = (0.5, 0.5),
) -> list[np.ndarray]:
    """How much a token of each map, that of the centre by default, depends on each pixel.

    It is the gradient of the token with respect to the image, absolute, summed over the channels of
    the image and averaged over images. The channels of the token are added up with random signs,
    drawn for each image: their plain sum is constant after a layer norm, and has no gradient.

    Args:
        network: Gives maps of an image, as a backbone does.
        images: Each ``(1, C, H, W)``, all of one size.
        seed: Of the signs.
        at: Where the token is: parts of the height and of the width, from 0 to below 1.

    Returns:
        A field ``(H, W)`` by map.
    """
    generator = torch.Generator().manual_seed(seed)
    gradients: list[list[np.ndarray]] = []
    for image in images:
        x = image.clone().requires_grad_()
        maps = network(x)
        gradients.append([])
        for y in maps:
            row, column = (int(part * length) for part, length in zip(at, y.shape[2:], strict=True))
            signs = torch.randint(2, y.shape[1:2], generator=generator).to(y) * 2 - 1
            token = y[0, :, row, column] @ signs
            (gradient,) = torch.autograd.grad(token, x, retain_graph=y is not maps[-1])
            gradients[-1].append(gradient[0].abs().sum(0).double().cpu().numpy())
    return [np.mean(of_images, axis=0) for of_images in zip(*gradients, strict=True)]


def extent(field: np.ndarray, share: float = 0.5) -> float:
    """The smallest part of all pixels that holds a share of a field, from 0 to 1."""
    within = np.cumsum(np.sort(field, axis=None)[::-1])
    # A share that is reached exactly shall not be missed by rounding.
    return (np.searchsorted(within, share * within[-1] * (1 - 1e-9)) + 1) / field.size


def relative(field: np.ndarray) -> np.ndarray:
    """A field on the scale of its largest gradient, from ``FLOOR`` to 1."""
    return np.clip(field / field.max(), FLOOR, 1)


def draw_receptive_fields(fields: Mapping[str, Sequence[np.ndarray]]) -> Figure:
    """A row of fields for each network, each scaled by its largest gradient.

    Args:
        fields: Results of :func:`receptive_fields`, by the title of the network.
    """
    rows, columns = len(fields), max(map(len, fields.values()))
    height, width = next(iter(fields.values()))[0].shape
    figure = new_figure(PANEL * columns + 1.5, (PANEL * height / width + 0.25) * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for row, (title, stages) in zip(grid, fields.items(), strict=True):
        row[0].set_ylabel(f"{title}\nrow (pixels)")
        for axes in row[len(stages) :]:
            axes.axis("off")
        for i, (axes, field) in enumerate(zip(row, stages, strict=False)):
            picture = axes.imshow(relative(field), SEQUENTIAL, norm=LogNorm(FLOOR, 1))
            axes.set_title(f"stage {i + 1}: half in {extent(field):.1%}", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("column (pixels)")
    label = "gradient, relative to the largest"
    figure.colorbar(picture, ax=grid, label=label, aspect=15 * rows, pad=0.01)
    figure.suptitle(
        "half in …: the smallest part of the pixels with half of the gradient", fontsize=9
    )
    return figure
