"""Small photographs of solids on a ground, with the visible mask of each.

A scene is drawn at twice its size, far solids before near ones, under one directional light
that shades them and casts their soft shadows; a simple camera then makes the photograph.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .painting import Thing, cast_shadow, draw_light, paint, photograph, strew_litter
from .shapes import CLASSES, CLUTTER, make_solid
from .surfaces import Noise, backdrop


@dataclass(frozen=True)
class Framing:
    """How large objects are in a picture, and how much of one a border may cut off.

    Attributes:
        extent: Longer side of the farthest and of the nearest object, as shares of the square
            root of the image area.
        truncation: Share of an object's width or height that may lie outside, below 0.5.
    """

    extent: tuple[float, float]
    truncation: float


# Parameters of the difficulty.
SCENE = Framing(extent=(0.34, 0.78), truncation=0.2)
PORTRAIT = Framing(extent=(0.50, 0.90), truncation=0.1)
OBJECTS = (2, 4)  # labelled objects per scene, fewest and most
RODS = 1  # most unlabelled rods per scene
STROKES = 10  # most strokes of litter and grass on the ground
MIN_SHARE = 0.55  # of an object that other things must leave visible
# The material is not random: most of a class have about the same hue (degrees).
HUES = {"ball": 350, "box": 225, "cone": 180, "ring": 110, "star": 290}
HUE_DEVIATION = 14
ANY_COLOUR = 0.2  # share of objects of any colour at all
MIN_CONTRAST = 0.2  # between an object's colour and the ground's, in its most different channel
DEFOCUS = 0.7  # largest blur of the complete image, pixels
NOISE = 0.025  # largest deviation of the sensor noise, of 1

_SCALE = 2  # supersampling
_TRIES = 30


@dataclass(frozen=True)
class Scene:
    """A photograph and its visible objects.

    Attributes:
        image: RGB, uint8, shape (H, W, 3).
        instances: 0 for background, k for the k-th object, uint8, shape (H, W).
        labels: Indices into ``CLASSES`` of objects 1, 2, ..., shape (N,).
    """

    image: np.ndarray
    instances: np.ndarray
    labels: np.ndarray


def draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """Draw a height and width in pixels: 160 x 128 or a little less, landscape or portrait."""
    # Detectors pad to multiples of 32: a pixel more would cost another 32 rows or columns.
    long, short = rng.integers(144, 161), rng.integers(112, 129)
    return (short, long) if rng.random() < 0.65 else (long, short)


def render_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene of several objects of random classes.

    Args:
        rng: Source of all randomness; equal generators give equal scenes.

    Returns:
        The scene; it shows at least one object.
    """
    count = rng.integers(OBJECTS[0], OBJECTS[1] + 1)
    labels = rng.integers(len(CLASSES), size=count)
    return _render(rng, draw_size(rng), labels, SCENE)


def render_portrait(rng: np.random.Generator, label: int, size: int = 80) -> Scene:
    """Draw one large object, for classification.

    Args:
        rng: Source of all randomness; equal generators give equal scenes.
        label: Index of its class in ``CLASSES``.
        size: Side of the square image in pixels.

    Returns:
        The scene, with that object only.
    """
    return _render(rng, (size, size), np.array([label]), PORTRAIT)


def _render(
    rng: np.random.Generator,
    size: tuple[int, int],
    labels: np.ndarray,
    framing: Framing,
) -> Scene:
    shape = (_SCALE * size[0], _SCALE * size[1])
    horizon = rng.uniform(0.1, 0.5) if rng.random() < 0.6 else rng.uniform(-2, -0.3)
    noise = Noise(rng)
    canvas = backdrop(rng, noise, shape, horizon)
    strew_litter(rng, canvas, horizon, STROKES)
    light = draw_light(rng)
    things = _arrange(rng, shape, labels, framing, horizon)

    coverage = [np.ones(shape, np.float32)]
    for thing in things:
        cast_shadow(canvas, thing, light)
        alpha = paint(rng, canvas, thing, light, noise, MIN_CONTRAST, _draw_hue(rng, thing.label))
        for layer in coverage:
            layer *= 1 - alpha
        if thing.label is None:
            coverage[0] += alpha
        else:
            coverage.append(alpha)
    small = [cv2.resize(c, size[::-1], interpolation=cv2.INTER_AREA) for c in coverage]
    seen = [thing.label for thing in things if thing.label is not None]
    return Scene(
        image=photograph(rng, canvas, size, DEFOCUS, NOISE),
        instances=np.argmax(small, axis=0).astype(np.uint8),
        labels=np.array(seen),
    )


def _arrange(
    rng: np.random.Generator,
    shape: tuple[int, int],
    labels: np.ndarray,
    framing: Framing,
    horizon: float,
) -> list[Thing]:
    """Place solids, farthest first; one that would hide too much, or be hidden, is redrawn."""
    things: list[Thing] = []
    for label in [*labels, *[None] * rng.integers(RODS + 1)]:
        for _ in range(_TRIES):
            thing = _place(rng, shape, label, framing, horizon)
            trial = sorted([*things, thing], key=lambda t: t.base)
            if _all_visible(trial):
                things = trial
                break
    return things


def _draw_hue(rng: np.random.Generator, label: int | None) -> float | None:
    if label is None or rng.random() < ANY_COLOUR:
        return None
    return rng.normal(HUES[CLASSES[label]], HUE_DEVIATION)


def _place(
    rng: np.random.Generator,
    shape: tuple[int, int],
    label: int | None,
    framing: Framing,
    horizon: float,
) -> Thing:
    height, width = shape
    solid = make_solid(CLUTTER if label is None else CLASSES[label], rng)
    near = rng.random()
    far_size, near_size = np.array(framing.extent) * (height * width) ** 0.5
    size = far_size * (near_size / far_size) ** (0.7 * near + 0.3 * rng.random())
    box = size * np.ptp(solid.facets.reshape(-1, 2), axis=0)
    farthest = max(horizon, 0) + 0.1
    base = height * (farthest + (1.1 - farthest) * near)
    inset = (0.5 - framing.truncation) * box
    centre = np.array(
        [
            rng.uniform(inset[0], width - inset[0]),
            np.clip(base - box[1] / 2, inset[1], height - inset[1]),
        ]
    )
    facet = np.zeros(shape, np.int32)
    # OpenCV puts pixel centres at integers and expects fixed-point corners.
    corners = np.round((solid.facets * size + centre - 0.5) * 16).astype(np.int32)
    for number, quad in enumerate(corners, 1):
        cv2.fillConvexPoly(facet, quad, number, shift=4)
    normals = np.concatenate([np.zeros((1, 3)), solid.normals]).astype(np.float32)
    return Thing(label, facet, normals, centre, size, centre[1] + box[1] / 2)


def _all_visible(things: list[Thing]) -> bool:
    hidden = np.zeros(things[0].facet.shape, bool)
    for thing in reversed(things):
        mask = thing.facet > 0
        if thing.label is not None and (mask & ~hidden).sum() < MIN_SHARE * mask.sum():
            return False
        hidden |= mask
    return True
