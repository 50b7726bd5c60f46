"""Effective receptive fields for a page: pictures of the stages with their captions."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2
import mmcv
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm

from mmsmlp.visualization import extent, relative
from mmsmlp.visualization.receptive_field import FLOOR
from mmsmlp.visualization.style import SEQUENTIAL

LONG = 480  # pixels of the longer side
FIELD = 0.85  # of the field in a picture; the rest is the image
LEGEND = (
    "Yellow pixels matter most to the token at the cross; dark blue ones a thousandth of that or "
    "less. “half in”: the smallest part of the pixels that holds half of the gradient."
)


def overlay(image: np.ndarray, field: np.ndarray, at: tuple[float, float]) -> np.ndarray:
    """A field over its image, with a cross at the point.

    Args:
        image: ``(H, W, 3)``, RGB.
        field: ``(h, w)``, of the complete image at any size.
        at: The point, as fractions of the height and the width.

    Returns:
        ``(H', W', 3)``, RGB.
    """
    height, width = image.shape[:2]
    scale = LONG / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    colours = colormaps[SEQUENTIAL](LogNorm(FLOOR, 1)(relative(field)), bytes=True)[..., :3]
    grey = cv2.cvtColor(mmcv.imresize(image, size), cv2.COLOR_RGB2GRAY)[..., None]
    colours = mmcv.imresize(colours, size, interpolation="nearest")
    picture = (FIELD * colours + (1 - FIELD) * grey).astype(np.uint8)
    point = int(at[1] * size[0]), int(at[0] * size[1])
    for colour, thickness in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        cv2.drawMarker(picture, point, colour, cv2.MARKER_CROSS, 21, thickness)
    return picture


def as_html(
    title: str, image: np.ndarray, fields: Sequence[np.ndarray], at: tuple[float, float]
) -> str:
    """The fields of all stages beside each other, or below each other where there is no room."""
    figures = []
    for i, field in enumerate(fields, 1):
        caption = f"stage {i}: half in {extent(field):.1%}"
        picture = overlay(image, field, at)[..., ::-1]
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
        data = base64.b64encode(jpeg).decode()
        figures.append(
            f'<figure><img src="data:image/jpeg;base64,{data}" alt="{caption}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return f'<h4>{escape(title)}</h4><div class="fields">{"".join(figures)}</div>'
