"""The solids of the mini data set: five object classes and one kind of clutter.

Every solid is a lathe surface, a profile turned about the vertical axis, so one mesh
builder serves all of them: four segments make a box, a radius that alternates makes a star.
Axes follow the image: x right, y down, z towards the viewer.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

# In alphabetical order, which is the order classification data sets give to class folders.
CLASSES = ("ball", "box", "cone", "ring", "star")

# RGB; the first is the background of the semantic maps, then one per class.
PALETTE = [(0, 0, 0), (220, 60, 60), (60, 120, 220), (240, 160, 40), (60, 170, 90), (170, 80, 200)]

# Unlabelled solids: rods, which cross the scene as sticks, poles and pencils do.
CLUTTER = "rod"

# How far the axis leans towards the viewer and turns in the image plane (degrees): wide, but
# never so that a ring hides its hole, a star shows its edge or a cone its base only.
_TILT = {
    "ball": (-90, 90),
    "box": (15, 45),
    "cone": (0, 30),
    "ring": (50, 90),
    "star": (50, 90),
    "rod": (0, 20),
}
_ROLL = {"ball": 180, "box": 25, "cone": 35, "ring": 180, "star": 180, "rod": 90}


@dataclass(frozen=True)
class Solid:
    """A posed mesh, ready to be drawn facet by facet.

    Attributes:
        facets: Corners in the image plane, farthest facet first, shape (F, 4, 2); centred on
            the origin, the longer side of the bounding box is 1.
        normals: Unit normals that face the viewer (z >= 0), shape (F, 3).
    """

    facets: np.ndarray
    normals: np.ndarray


def make_solid(kind: str, rng: np.random.Generator) -> Solid:
    """Draw a solid of random proportions, deformation and pose.

    Args:
        kind: One of ``CLASSES`` or ``CLUTTER``.
        rng: Source of all randomness.

    Returns:
        The posed solid, in units of its longer side.

    Raises:
        KeyError: If ``kind`` is unknown.
    """
    tilt = np.deg2rad(rng.uniform(*_TILT[kind]))
    roll = np.deg2rad(rng.uniform(-_ROLL[kind], _ROLL[kind]))
    vertices, faces = _lathe(*_profile(kind, rng))
    vertices = _deform(vertices, rng)
    turn = _rotation(0, 1, roll) @ _rotation(1, 2, tilt) @ _rotation(2, 0, rng.uniform(0, 2 * pi))
    vertices = vertices @ turn.T

    plane = vertices[:, :2]
    low, high = plane.min(0), plane.max(0)
    corners = ((plane - (low + high) / 2) / (high - low).max())[faces]
    a, b, c, d = (vertices[faces[:, i]] for i in range(4))
    normals = np.cross(c - a, d - b)
    # On a closed surface all visible facets face the viewer, with any winding.
    normals *= np.where(normals[:, 2:] < 0, -1, 1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    order = np.argsort(vertices[faces, 2].mean(1), kind="stable")
    return Solid(corners[order], normals[order])


def _profile(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Give the (radius, y) points of the outline, (P, 2), and the radii by angle, (S,)."""
    match kind:
        case "ball":
            turn = np.linspace(0, pi, 15)
            return np.stack([np.sin(turn), -np.cos(turn)], 1), np.ones(28)
        case "box":
            height = rng.uniform(0.4, 1.0)
            return np.array([(0, -height), (1, -height), (1, height), (0, height)]), np.ones(4)
        case "cone":
            height, tip = rng.uniform(0.8, 1.2), rng.uniform(0.05, 0.2)
            outline = [(0, -height), (tip, -height), (0.75, height), (0, height)]
            return np.array(outline), np.ones(36)
        case "ring":
            turn, tube = np.linspace(0, 2 * pi, 13), rng.uniform(0.26, 0.42)
            return np.stack([1 + tube * np.cos(turn), tube * np.sin(turn)], 1), np.ones(40)
        case "star":
            thick, valley = rng.uniform(0.15, 0.35), rng.uniform(0.48, 0.62)
            radii = np.tile([1.0, valley], rng.integers(5, 7))
            return np.array([(0, -thick), (1, 0), (0, thick)]), radii
        case "rod":
            thin = rng.uniform(0.02, 0.05)
            return np.array([(0, -1), (thin, -1), (thin, 1), (0, 1)]), np.ones(12)
    raise KeyError(kind)


def _lathe(profile: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn a profile about the y axis: vertices (S * P, 3) and quads (S * (P - 1), 4)."""
    angle = np.linspace(0, 2 * pi, len(radii), endpoint=False)
    radius = radii[:, None] * profile[:, 0]
    y = np.broadcast_to(profile[:, 1], radius.shape)
    x, z = radius * np.cos(angle)[:, None], radius * np.sin(angle)[:, None]
    ids = np.arange(radius.size).reshape(radius.shape)
    following = np.roll(ids, -1, axis=0)
    quads = [ids[:, :-1], following[:, :-1], following[:, 1:], ids[:, 1:]]
    return np.stack([x, y, z], -1).reshape(-1, 3), np.stack(quads, -1).reshape(-1, 4)


def _deform(vertices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stretch, taper and bend a mesh a little, so that no two of a class are alike."""
    stretch = rng.uniform(0.8, 1.2, 3)
    taper, bend = rng.normal(0, 0.06), rng.normal(0, 0.06)
    x, y, z = (vertices * stretch).T
    width = 1 + taper * y
    return np.stack([x * width + bend * y**2, y, z * width], 1)


def _rotation(i: int, j: int, angle: float) -> np.ndarray:
    """Rotate in the plane of axes i and j, shape (3, 3)."""
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = np.sin(angle), -np.sin(angle)
    return matrix
