"""The axial maps of sMLPNet, at the native length and as applied at another length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor, nn

from mmsmlp.errors import PictureError
from mmsmlp.models.layers import AxialMixing, SparseMLP

from .style import DIVERGING, bare, new_figure

PANEL = 1.35  # inches
# So much of the entries is within the range of the colours.
SHOWN = 0.99


@dataclass(frozen=True)
class AxialMap:
    """An axial map of a block.

    Args:
        stage: Of the block, from 0.
        block: In its stage, from 0.
        axis: ``'rows'`` or ``'columns'``, along which it mixes.
        native: The matrix that the network holds, ``(L, L)``.
        applied: The matrix that it is at the length of an image, ``(L', L')``.
    """

    stage: int
    block: int
    axis: str
    native: np.ndarray
    applied: np.ndarray


@torch.no_grad()
def applied_matrix(axial: AxialMixing, length: int) -> np.ndarray:
    """The matrix of an axial map at a length: its outputs for unit vectors, without the bias.

    Returns:
        ``(length, length)``, from the token of the column to that of the row.
    """
    units = torch.eye(length).to(axial.weight)
    lines = torch.cat([units, torch.zeros_like(units[:1])])  # each is an image
    lines = lines[:, None, None] if axial.dim == -1 else lines[:, None, :, None]
    y = axial(lines).flatten(1)
    return (y[:-1] - y[-1]).T.double().cpu().numpy()


def axial_maps(backbone: nn.Module, size: tuple[int, int]) -> list[AxialMap]:
    """All axial maps of a backbone.

    Args:
        backbone: Such as :class:`~mmsmlp.models.backbones.SMLPNet`; its mode is not changed.
        size: Height and width in pixels of the image at which they are applied.

    Raises:
        PictureError: If it has none.
    """
    if not any(isinstance(module, SparseMLP) for module in backbone.modules()):
        raise PictureError(f"{type(backbone).__name__} has no axial maps; sMLPNet has")
    grids, found = _grids(backbone, size), []
    for i, stage in enumerate(backbone.stages):
        for j, block in enumerate(stage.blocks):
            if block.smlp is None:
                continue
            height, width = grids[block.smlp]
            axes = {"rows": (block.smlp.row, width), "columns": (block.smlp.column, height)}
            for axis, (axial, length) in axes.items():
                native = axial.weight.detach().double().cpu().numpy()
                found.append(AxialMap(i, j, axis, native, applied_matrix(axial, length)))
    return found


@torch.no_grad()
def _grids(backbone: nn.Module, size: tuple[int, int]) -> Mapping[nn.Module, tuple[int, int]]:
    """Height and width in tokens of each sMLP's input, found by a forward pass."""
    grids = {}

    def note(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        grids[module] = tuple(inputs[0].shape[2:])

    hooks = [
        module.register_forward_hook(note)
        for module in backbone.modules()
        if isinstance(module, SparseMLP)
    ]
    backbone(torch.zeros(1, backbone.in_channels, *size))
    for hook in hooks:
        hook.remove()
    return grids


def draw_axial_maps(maps: Sequence[AxialMap], size: tuple[int, int]) -> Figure:
    """The maps of the first and the last block of each stage, native and applied.

    Each panel has its own scale. Its rows are output tokens, its columns input tokens.

    Args:
        maps: Result of :func:`axial_maps`.
        size: Height and width of the image at which they are applied.
    """
    blocks: dict[int, list[int]] = {}
    for one in maps:
        blocks.setdefault(one.stage, []).append(one.block)
    places = sorted(
        {(i, j) for i, of_stage in blocks.items() for j in (min(of_stage), max(of_stage))}
    )
    by_place = {(one.axis, one.stage, one.block): one for one in maps}
    rows = 4
    figure = new_figure(PANEL * len(places) + 1.7, rows * (PANEL + 0.2) + 0.6)
    grid = figure.subplots(rows, len(places), squeeze=False)
    at = f"{size[0]}x{size[1]} pixels"
    for k, axis in enumerate(("rows", "columns")):
        lines = grid[k * rows // 2 : (k + 1) * rows // 2]
        for (stage, block), column in zip(places, lines.T, strict=True):
            one = by_place[axis, stage, block]
            for axes, matrix in zip(column, (one.native, one.applied), strict=True):
                picture = _draw_matrix(axes, matrix)
        for axes, label in zip(lines[:, 0], ("native", "applied"), strict=True):
            axes.set_ylabel(f"{axis}, {label}", fontsize=9)
    for axes, (stage, block) in zip(grid[0], places, strict=True):
        axes.set_title(f"stage {stage + 1}, block {block + 1}", fontsize=9)
    bar = figure.colorbar(picture, ax=grid, aspect=12 * rows, pad=0.01, ticks=[-1, 0, 1])
    bar.set_label(f"weight, relative to the largest {1 - SHOWN:.0%} of its panel")
    figure.suptitle(f"axial maps at their native size and as applied to {at}", fontsize=9)
    return figure


def _draw_matrix(axes: Axes, matrix: np.ndarray) -> AxesImage:
    limit = np.quantile(np.abs(matrix), SHOWN) or 1.0
    bare(axes)
    axes.set_xlabel(f"{len(matrix)} tokens", fontsize=8)
    return axes.imshow(matrix / limit, DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
