"""Shared by all pictures: colours, and saving."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's, which colour-blind people can distinguish; grey replaces their yellow in lines.
COLOURS = ("#D55E00", "#0072B2", "#000000", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#999999")
MARKERS = "osD^vPX*"
# Of matplotlib's, one from dark to bright, and one with white in its middle.
SEQUENTIAL = "cividis"
DIVERGING = "PuOr"
FORMATS = (".png", ".svg")
# Text stays text in an SVG, for searching and copying.
_SAVING = {"svg.fonttype": "none"}


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches, whose parts keep clear of each other.

    It knows nothing of pyplot, which would keep state between figures and pick a backend.
    """
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a picture and make its folder; its ending sets the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(_SAVING):
        figure.savefig(path, dpi=110)


def bare(axes: Axes) -> None:
    """Hide ticks and numbers, for a picture without units."""
    axes.set_xticks([])
    axes.set_yticks([])
