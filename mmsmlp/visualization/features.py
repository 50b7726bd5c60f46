"""Feature maps of a backbone beside their image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .style import SEQUENTIAL, bare, new_figure

# Channels of colour.
COMPONENTS = 3
# Beyond these quantiles a component is shown as dark or as bright as can be.
QUANTILES = (0.01, 0.99)


@dataclass(frozen=True)
class Components:
    """The first principal components of a map.

    Args:
        values: ``(H, W, 3)``, the scores of the tokens; zero where there are fewer components.
        shares: Of the variance, by component.
    """

    values: np.ndarray
    shares: np.ndarray


def principal_components(features: Tensor) -> Components:
    """The first three principal components of the tokens of a map.

    The sign of a component is free; it is chosen so that its largest score is positive.

    Args:
        features: ``(C, H, W)``.
    """
    height, width = features.shape[1:]
    tokens = features.flatten(1).T.double()
    u, s, _ = torch.linalg.svd(tokens - tokens.mean(0), full_matrices=False)
    scores = u * s
    peaks = scores.gather(0, scores.abs().argmax(0, keepdim=True))
    scores = (scores * peaks.sign())[:, :COMPONENTS]
    shares = (s.square() / s.square().sum().clamp(min=1e-300))[:COMPONENTS]
    missing = COMPONENTS - len(shares)
    values = torch.nn.functional.pad(scores, (0, missing)).view(height, width, COMPONENTS)
    return Components(
        values.cpu().numpy(), torch.nn.functional.pad(shares, (0, missing)).cpu().numpy()
    )


def as_colours(values: np.ndarray) -> np.ndarray:
    """Each component from 0 to 1, with outliers cut off."""
    low, high = np.quantile(values, QUANTILES, axis=(0, 1))
    return np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)


def draw_features(image: np.ndarray, maps: Sequence[Tensor]) -> Figure:
    """Components as colours and the norms of the tokens of each map, beside the image.

    Args:
        image: ``(H, W, 3)``, RGB.
        maps: Of the image, each ``(C, h, w)``.
    """
    height, width = image.shape[:2]
    panel = 2.6
    figure = new_figure(panel * (len(maps) + 1) + 0.6, 2 * (panel * height / width + 0.5))
    grid = figure.subplots(2, len(maps) + 1)
    grid[0, 0].imshow(image)
    grid[0, 0].set_title(f"image: {height}x{width} pixels", fontsize=9)
    grid[1, 0].axis("off")
    whole = (0, width, height, 0)  # the last tokens may reach beyond the image
    for i, (column, features) in enumerate(zip(grid.T[1:], maps, strict=True)):
        components = principal_components(features)
        column[0].imshow(as_colours(components.values), extent=whole)
        rows, columns = features.shape[1:]
        column[0].set_title(f"stage {i + 1}: {rows}x{columns} tokens", fontsize=9)
        column[0].set_xlabel(f"3 components, {components.shares.sum():.0%} of variance", fontsize=9)
        norms = features.norm(dim=0).cpu().numpy()
        picture = column[1].imshow(norms / norms.max(), SEQUENTIAL, vmin=0, vmax=1, extent=whole)
        column[1].set_xlabel(f"norm, at most {norms.max():.3g}", fontsize=9)
    for axes in grid.flat:
        bare(axes)
    figure.colorbar(picture, ax=grid[1], label="norm, relative to the largest", pad=0.01)
    return figure
