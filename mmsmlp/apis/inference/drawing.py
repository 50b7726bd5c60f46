"""Predictions of segmentors and classifiers, drawn without their libraries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

OPACITY = 0.6  # of the colour of a class
MIN_SHARE = 0.005  # of the image, of a region that gets its name
INK, PAPER = (255, 255, 255), (0, 0, 0)


def colours_of(palette: Sequence[tuple[int, int, int]], count: int) -> np.ndarray:
    """A colour in BGR for each class, ``(count, 3)``; without a palette they are drawn by lot."""
    if not palette:
        palette = np.random.default_rng(0).integers(0, 256, (count, 3))
    return np.array(palette, dtype=np.uint8)[:, ::-1]


def tint(image: np.ndarray, classes: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """An image in the colours of the classes of its pixels; those of no class stay as they are.

    Args:
        image: ``(H, W, 3)`` in BGR.
        classes: ``(H, W)``.
        colours: ``(C, 3)`` in BGR.
    """
    inside = classes < len(colours)
    tinted = image.copy()
    mixed = (1 - OPACITY) * image[inside] + OPACITY * colours[classes[inside]]
    tinted[inside] = mixed.round().astype(np.uint8)
    return tinted


def label_region(image: np.ndarray, region: np.ndarray, text: str) -> np.ndarray:
    """Write a text where a region is widest, unless it is a small part of the image.

    Args:
        image: ``(H, W, 3)`` in BGR.
        region: ``(H, W)``, bool.
        text: What to write.
    """
    if region.mean() < MIN_SHARE:
        return image
    bordered = np.pad(region, 1).astype(np.uint8)
    depth = cv2.distanceTransform(bordered, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return write_text(image, text, (int(x), int(y)), anchor="mm")


def write_text(
    image: np.ndarray, text: str, place: tuple[int, int], anchor: str = "la"
) -> np.ndarray:
    """Write a text on paper of its own, as large as suits the image, and within it if it fits.

    Args:
        image: ``(H, W, 3)`` in BGR.
        text: What to write.
        place: Column and row.
        anchor: Which point of the text goes there, as Pillow says it.
    """
    height, width = image.shape[:2]
    font = font_of(max(10, round(min(height, width) / 24)))
    picture = Image.fromarray(image[..., ::-1])
    pencil = ImageDraw.Draw(picture)
    left, top, right, bottom = pencil.textbbox(place, text, font, anchor)
    x, y = max(-left, min(0, width - right)), max(-top, min(0, height - bottom))
    place = place[0] + x, place[1] + y
    pencil.rectangle((left + x, top + y, right + x, bottom + y), fill=PAPER)
    pencil.text(place, text, INK, font, anchor)
    return np.asarray(picture)[..., ::-1]


@lru_cache
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The font of matplotlib, which has more letters than Pillow's own."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)
