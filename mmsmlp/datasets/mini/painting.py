"""Paints solids under a light, with their shadows, and takes the photograph."""

from dataclasses import dataclass

import cv2
import numpy as np

from .surfaces import Noise, texture

_TRIES = 30


@dataclass(frozen=True)
class Thing:
    """A solid in its place in a picture; lengths are in pixels of the canvas.

    Attributes:
        label: Index of its class, None for clutter.
        facet: 1 + index of the facet seen at each pixel, 0 where there is none, shape (H, W).
        normals: Unit normals, row 0 for no facet, float32, shape (F + 1, 3).
        centre: Centre of the bounding box, (x, y), shape (2,).
        extent: Longer side of the bounding box.
        base: Lowest y, a measure of how near the thing is.
    """

    label: int | None
    facet: np.ndarray
    normals: np.ndarray
    centre: np.ndarray
    extent: float
    base: float


@dataclass(frozen=True)
class Light:
    """A sun or lamp beside the camera.

    Attributes:
        direction: Unit vector that points to it, shape (3,).
        ambient: Share of light that comes from everywhere.
        diffuse: Share that comes from ``direction``.
    """

    direction: np.ndarray
    ambient: float
    diffuse: float


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a light above and behind the camera, to its left or right."""
    direction = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.9, -0.4), rng.uniform(0.4, 0.8)])
    ambient = rng.uniform(0.3, 0.5)
    return Light(direction / np.linalg.norm(direction), ambient, 1.3 - ambient)


def strew_litter(rng: np.random.Generator, canvas: np.ndarray, horizon: float, most: int) -> None:
    """Draw up to ``most`` curved strokes on the ground: grass, twigs, scratches, cables.

    Args:
        rng: Source of all randomness.
        canvas: Picture to draw on, in place, RGB, float32, shape (H, W, 3).
        horizon: Height of the horizon as a share of the image height, from the top.
        most: Largest number of strokes.
    """
    height, width = canvas.shape[:2]
    colour = canvas.mean((0, 1)) * rng.uniform(0.3, 1.5)
    for _ in range(rng.integers(most + 1)):
        start = rng.uniform((0, max(horizon, 0) + 0.05), 1) * (width, height)
        reach = rng.normal(0, 0.1 * height, (2, 2)).cumsum(0)
        step = np.linspace(0, 1, 12)[:, None]
        path = start + 2 * step * (1 - step) * reach[0] + step**2 * reach[1]
        points = np.round(path * 16).astype(np.int32)
        shade = colour * rng.uniform(0.8, 1.2)
        thickness = int(rng.integers(1, 4))
        cv2.polylines(canvas, [points], False, shade.tolist(), thickness, shift=4)


def cast_shadow(canvas: np.ndarray, thing: Thing, light: Light) -> None:
    """Cast a shadow on the ground, away from the light.

    Args:
        canvas: Picture to darken, in place, float32, shape (H, W, 3).
        thing: The object that casts the shadow.
        light: The light.
    """
    x, y, z = light.direction
    foot = thing.base - 0.1 * thing.extent
    lean, rise = x / y, 0.36 * z / -y
    # A point h above the foot falls on (x + lean * h, foot - rise * h).
    matrix = np.float32([[1, -lean, lean * foot], [0, rise, (1 - rise) * foot]])
    mask = (thing.facet > 0).astype(np.float32)
    shadow = cv2.warpAffine(mask, matrix, mask.shape[::-1])
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.04 * thing.extent)
    canvas *= (1 - 0.7 * light.diffuse * shadow)[..., None]


def paint(
    rng: np.random.Generator,
    canvas: np.ndarray,
    thing: Thing,
    light: Light,
    noise: Noise,
    contrast: float,
    hue: float | None,
) -> np.ndarray:
    """Paint a thing in a random material.

    Args:
        rng: Source of all randomness.
        canvas: Picture to paint on, in place, RGB, float32, shape (H, W, 3).
        thing: The object to paint.
        light: Its light.
        noise: Noise for its texture.
        contrast: Least difference of its colour from the canvas, in the channel that differs
            most, of 1.
        hue: Of its colour, in degrees; None for any, dull ones included.

    Returns:
        Opacity of the thing in [0, 1], float32, shape (H, W).
    """
    mask = (thing.facet > 0).astype(np.float32)
    alpha = cv2.GaussianBlur(mask, (0, 0), 0.6)
    left, top, width, height = cv2.boundingRect(np.uint8(alpha > 0))
    window = np.s_[top : top + height, left : left + width]

    # Blurred normals round the edges off, and hide that curved surfaces are made of facets.
    normals = thing.normals[thing.facet[window]]
    normals = cv2.GaussianBlur(normals, (0, 0), 0.015 * thing.extent + 0.8)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-6
    y, x = np.mgrid[window].astype(np.float32)
    # Surfaces that turn away are foreshortened, and so is the texture on them.
    turn = (1.5 - 0.5 * normals[..., 2]) / thing.extent
    u, v = (x - thing.centre[0]) * turn, (y - thing.centre[1]) * turn

    first, second = _draw_colours(rng, canvas[window].mean((0, 1)), contrast, hue)
    share = texture(rng, noise, u, v, rng.uniform(2, 6))[..., None]
    albedo = first + (second - first) * share
    lit = np.maximum(normals @ np.float32(light.direction), 0)
    sky = 0.8 - 0.3 * normals[..., 1]
    halfway = light.direction + np.array([0, 0, 1])
    glance = np.maximum(normals @ np.float32(halfway / np.linalg.norm(halfway)), 0)
    gloss = rng.uniform(0, 0.6) * glance ** rng.uniform(8, 60)
    colour = albedo * (light.ambient * sky + light.diffuse * lit)[..., None] + gloss[..., None]
    canvas[window] += (colour - canvas[window]) * alpha[window][..., None]
    return alpha


def _draw_colours(
    rng: np.random.Generator, ground: np.ndarray, contrast: float, hue: float | None
) -> np.ndarray:
    """Draw two colours, (2, 3); the first stands out from the ground and has the hue."""
    for _ in range(_TRIES):
        hsv = rng.uniform((0, 0.1, 0.3), (360, 0.9, 1), (1, 2, 3)).astype(np.float32)
        if hue is not None:
            hsv[0, 0] = hue % 360, rng.uniform(0.5, 0.95), rng.uniform(0.4, 1)
        first, second = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]
        if np.abs(first - ground).max() > contrast:
            break
    return np.stack([first, first + (second - first) * np.float32(rng.uniform(0.2, 0.9))])


def photograph(
    rng: np.random.Generator,
    canvas: np.ndarray,
    size: tuple[int, int],
    defocus: float,
    noise: float,
) -> np.ndarray:
    """Take the picture: focus, lens, white balance, exposure and sensor.

    Args:
        rng: Source of all randomness.
        canvas: The scene, RGB, shape (H, W, 3), larger than the picture.
        size: Height and width of the picture in pixels.
        defocus: Largest blur, in pixels of the picture.
        noise: Largest deviation of the sensor noise, of 1.

    Returns:
        The picture, RGB, uint8, of shape ``(*size, 3)``.
    """
    scale = canvas.shape[0] / size[0]
    canvas = cv2.GaussianBlur(canvas, (0, 0), 0.3 + scale * rng.uniform(0, defocus))
    image = cv2.resize(canvas, size[::-1], interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    image *= np.float32(1 - rng.uniform(0, 0.2) * (x**2 + y**2))[..., None]
    image *= np.float32(rng.uniform(0.95, 1.25) * rng.uniform(0.94, 1.06, 3))
    # Highlights roll off instead of clipping.
    image = np.where(image > 0.8, 1 - 0.2 * np.exp(-(image - 0.8) / 0.2), image)
    grain = rng.standard_normal(image.shape, np.float32) * np.sqrt(0.3 + np.clip(image, 0, 1))
    image += rng.uniform(0.2, 1) * noise * grain
    return np.uint8(np.round(255 * np.clip(image, 0, 1)))
