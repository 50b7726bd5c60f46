"""Textures and backdrops: fractal noise, patterns on it, and a ground that meets a horizon."""

import cv2
import numpy as np

# Colours above and below the horizon (RGB), and whether the upper part is open sky.
PLACES = {
    "beach": ((150, 190, 225), (205, 180, 140)),
    "carpet": ((190, 180, 170), (120, 62, 55)),
    "dusk": ((215, 150, 115), (84, 70, 74)),
    "forest": ((66, 86, 54), (96, 80, 56)),
    "kitchen": ((225, 228, 225), (186, 182, 176)),
    "meadow": ((150, 185, 220), (100, 128, 62)),
    "room": ((214, 204, 190), (142, 98, 64)),
    "snow": ((180, 198, 218), (222, 228, 236)),
    "street": ((150, 152, 158), (98, 98, 102)),
    "table": ((76, 66, 64), (168, 124, 84)),
    "workshop": ((92, 104, 112), (128, 128, 122)),
}
_TILE = 256
_PATTERNS = ("plain", "grain", "marble", "stripes", "checks", "spots")


class Noise:
    """A tile of fractal noise, whose amplitude falls about as 1/f like that of photographs."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the tile, and how smooth it is, from ``rng``."""
        along = np.fft.fftfreq(_TILE, 1 / _TILE)
        frequency = np.hypot(along[:, None], along[: _TILE // 2 + 1])
        frequency[0, 0] = np.inf
        white = np.fft.rfft2(rng.standard_normal((_TILE, _TILE)))
        tile = np.fft.irfft2(white / frequency ** rng.uniform(1.1, 1.7))
        self._tile = np.float32(tile / tile.std())

    def __call__(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Look the noise up; it repeats without a seam.

        Args:
            u: Horizontal coordinates in tiles, shape (H, W).
            v: Vertical coordinates in tiles, shape (H, W).

        Returns:
            Noise of about zero mean and unit deviation, float32, shape (H, W).
        """
        at = (np.float32(_TILE * t) for t in (u, v))
        return cv2.remap(self._tile, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def texture(
    rng: np.random.Generator, noise: Noise, u: np.ndarray, v: np.ndarray, frequency: float
) -> np.ndarray:
    """Draw a random pattern over surface coordinates.

    Args:
        rng: Source of all randomness.
        noise: Noise that the pattern is made of or disturbed by.
        u: Surface coordinates, shape (H, W).
        v: Surface coordinates, shape (H, W).
        frequency: Periods of the pattern per unit of ``u`` and ``v``.

    Returns:
        Share of the second colour in [0, 1], float32, shape (H, W).
    """
    pattern = rng.choice(_PATTERNS)
    angle, (du, dv) = rng.uniform(0, np.pi), rng.uniform(0, 1, 2)
    u, v = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
    rough = noise(0.4 * u + du, 0.4 * v + dv)
    wave = 2 * np.pi * frequency * u
    match pattern:
        case "plain":
            field = 0.12 * rough - 0.8
        case "grain":
            field = 0.9 * noise(frequency * u + du, frequency * v + dv)
        case "marble":
            field = np.sin(0.6 * wave + 2.5 * rough)
        case "stripes":
            field = 3 * np.sin(wave + 0.2 * rough) + rng.uniform(-1.5, 1.5)
        case "checks":
            field = 6 * np.sin(wave) * np.sin(2 * np.pi * frequency * v)
        case "spots":
            field = 4 * (noise(0.3 * frequency * u + du, 0.3 * frequency * v + dv) - 0.7)
    return (0.5 + 0.5 * np.tanh(field + 0.15 * rough)).astype(np.float32)


def backdrop(
    rng: np.random.Generator, noise: Noise, shape: tuple[int, int], horizon: float
) -> np.ndarray:
    """Paint a place without objects: a ground in perspective below a sky or wall.

    Args:
        rng: Source of all randomness.
        noise: Noise of the scene.
        shape: Height and width in pixels.
        horizon: Height of the horizon as a share of the image height, from the top; negative
            where the camera looks down and no horizon is in sight.

    Returns:
        Colours of about [0, 1], RGB, float32, shape (H, W, 3).
    """
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    x -= width / height / 2
    names = list(PLACES)
    above, below = np.float32(PLACES[names[rng.integers(len(names))]]) / 255
    above, below = (c * rng.uniform(0.8, 1.15) + rng.normal(0, 0.03, 3) for c in (above, below))
    lean = rng.normal(0, 0.04)
    # Skylines and skirting boards are rarely ruled: hills where the amplitude is large.
    hills = rng.choice([0.0, 0.02, 0.06]) * noise(x / 3 + 0.5, np.full_like(x, rng.random()))
    depth = y - horizon + lean * x

    ground = _ground(rng, noise, x, np.maximum(depth, 0.03), 1 - horizon, np.float32(below))
    if horizon < -0.2:
        return ground
    upper = np.float32(above) * (1 + 0.35 * (y - horizon))[..., None]
    upper += rng.uniform(0.02, 0.09) * noise(x / 2 + 0.5, y / rng.uniform(0.4, 2))[..., None]
    if rng.random() < 0.4:
        folds = texture(rng, noise, x, y, rng.uniform(2, 7))[..., None]
        upper *= 1 - rng.uniform(0.05, 0.3) * folds
    # Distant parts are out of focus and paler.
    upper = cv2.GaussianBlur(upper, (0, 0), rng.uniform(0.008, 0.03) * height)
    ground += (upper - ground) * (0.6 * np.exp(-np.maximum(depth, 0) / 0.06))[..., None]
    edge = np.clip(0.5 + (depth + hills) * height / 4, 0, 1)[..., None]
    return upper + (ground - upper) * edge


def _ground(
    rng: np.random.Generator,
    noise: Noise,
    x: np.ndarray,
    depth: np.ndarray,
    nearest: float,
    colour: np.ndarray,
) -> np.ndarray:
    """Paint the textured ground plane, (H, W, 3), at unit scale along the lower border."""
    u, v = x * nearest / depth, nearest**2 / depth
    second = colour * rng.uniform(0.45, 0.9) + rng.normal(0, 0.04, 3)
    # A pattern finer than the pixels must fade, or it would alias near the horizon.
    share = texture(rng, noise, u, v, rng.uniform(1.5, 6)) * np.clip(2.5 * depth / nearest, 0, 1)
    ground = colour + np.float32(second - colour) * (rng.uniform(0.3, 1) * share)[..., None]
    grain = rng.uniform(0.03, 0.1) * noise(1.7 * u, 1.7 * v) + 0.08 * noise(u / 4, v / 4)
    return np.float32(ground * (1 + grain)[..., None])
