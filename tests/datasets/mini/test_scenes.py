import cv2
import numpy as np
import pytest

from mmsmlp.datasets.mini.scenes import (
    HUE_DEVIATION,
    HUES,
    OBJECTS,
    draw_size,
    render_portrait,
    render_scene,
)
from mmsmlp.datasets.mini.shapes import CLASSES, CLUTTER, PALETTE, make_solid
from mmsmlp.datasets.mini.surfaces import Noise

SEEDS = range(6)


def silhouette(kind: str, seed: int) -> np.ndarray:
    """Rasterise a solid into 100 pixels of extent, (120, 120)."""
    mask = np.zeros((120, 120), np.uint8)
    for facet in make_solid(kind, np.random.default_rng(seed)).facets:
        cv2.fillConvexPoly(mask, np.int32(np.round(100 * facet + 60)), 1)
    return mask


def solidity(mask: np.ndarray) -> float:
    """Share of the convex hull of a mask that the mask fills."""
    hull = cv2.convexHull(cv2.findNonZero(mask))
    return mask.sum() / cv2.contourArea(hull)


def test_a_palette_colour_for_the_background_and_each_class():
    assert len(set(PALETTE)) == len(PALETTE) == len(CLASSES) + 1
    # Classification data sets number the classes by sorted folder name.
    assert list(CLASSES) == sorted(CLASSES)


@pytest.mark.parametrize("kind", [*CLASSES, CLUTTER])
def test_solids_are_centred_and_one_long(kind):
    for seed in SEEDS:
        solid = make_solid(kind, np.random.default_rng(seed))
        corners = solid.facets.reshape(-1, 2)
        assert np.ptp(corners, axis=0).max() == pytest.approx(1)
        np.testing.assert_allclose(corners.min(0), -corners.max(0), atol=1e-9)
        length = np.linalg.norm(solid.normals, axis=1)
        assert np.all((np.abs(length - 1) < 1e-6) | (length < 1e-6))
        assert solid.normals[:, 2].min() >= 0


@pytest.mark.parametrize("seed", SEEDS)
def test_shapes_tell_the_classes_apart(seed):
    assert solidity(silhouette("ball", seed)) > 0.95
    assert solidity(silhouette("box", seed)) > 0.9
    assert solidity(silhouette("star", seed)) < 0.85
    assert silhouette(CLUTTER, seed).sum() < 0.12 * 100**2
    _, parents = cv2.findContours(silhouette("ring", seed), cv2.RETR_CCOMP, 1)
    assert (parents[0, :, 3] >= 0).sum() == 1, "a ring has one hole"


@pytest.mark.parametrize("seed", SEEDS)
def test_normals_of_a_ball_point_outwards(seed):
    solid = make_solid("ball", np.random.default_rng(seed))
    # The last facets are the nearest; those at the rim may already face away.
    near = 2 * len(solid.normals) // 3
    outwards = solid.facets[near:].mean(1)
    agreement = (outwards * solid.normals[near:, :2]).sum(1)
    assert np.mean(agreement[np.linalg.norm(outwards, axis=1) > 0.2] > 0) == 1


def test_unknown_solid():
    with pytest.raises(KeyError, match="teapot"):
        make_solid("teapot", np.random.default_rng(0))


def test_sizes_vary_and_fill_multiples_of_32():
    sizes = np.array([draw_size(np.random.default_rng(seed)) for seed in range(300)])
    short, long = np.sort(sizes, axis=1).T
    assert set(short) == set(range(112, 129))
    assert set(long) == set(range(144, 161))
    landscape = np.mean(sizes[:, 1] > sizes[:, 0])
    assert 0.5 < landscape < 0.8


def test_most_of_a_class_share_a_hue():
    hues = {label: [] for label in range(len(CLASSES))}
    for seed in range(60):
        scene = render_scene(np.random.default_rng(seed))
        hsv = cv2.cvtColor(scene.image, cv2.COLOR_RGB2HSV)
        for number, label in enumerate(scene.labels, 1):
            vivid = (scene.instances == number) & (hsv[..., 1] > 90)
            if vivid.any():
                hues[label].append(2.0 * np.median(hsv[..., 0][vivid]))
    for label, name in enumerate(CLASSES):
        off = np.abs((np.array(hues[label]) - HUES[name] + 180) % 360 - 180)
        assert 0.5 < np.mean(off < 3 * HUE_DEVIATION) < 1, name


def test_noise_has_no_seam_and_falls_with_frequency():
    noise = Noise(np.random.default_rng(0))
    v, u = np.mgrid[:256, :256] / 256
    field = noise(u, v)
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(noise(u + 1, v - 2), field, atol=1e-4)
    power = np.abs(np.fft.rfft2(field)) ** 2
    low, high = power[4:8, 4:8].mean(), power[64:128, 64:128].mean()
    # Amplitude falls as 1/f^a with a in [1.1, 1.7], over four octaves here.
    assert 2 ** (8 * 1.0) < low / high < 2 ** (8 * 1.8)


@pytest.mark.parametrize("seed", SEEDS)
def test_scenes_show_every_labelled_object(seed):
    scene = render_scene(np.random.default_rng(seed))
    assert scene.image.shape == (*scene.instances.shape, 3)
    assert 1 <= len(scene.labels) <= OBJECTS[1]
    areas = np.bincount(scene.instances.ravel(), minlength=len(scene.labels) + 1)
    assert len(areas) == len(scene.labels) + 1
    assert areas[0] > 0.2 * scene.instances.size
    assert areas[1:].min() > 60
    # A photograph, not a flat drawing: a full range of tones, and few equal neighbours.
    assert np.ptp(scene.image) > 100
    assert np.mean(np.any(np.diff(scene.image.astype(int), axis=1) != 0, axis=2)) > 0.5


def test_masks_lie_on_the_edges_of_the_picture():
    shifts = [(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)]
    slope_at = dict.fromkeys(shifts, 0.0)
    for seed in SEEDS:
        scene = render_scene(np.random.default_rng(seed))
        grey = cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY)
        slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        outline = cv2.morphologyEx(scene.instances, cv2.MORPH_GRADIENT, cross) > 0
        for shift in shifts:
            moved = np.roll(outline, shift, (0, 1))
            slope_at[shift] += slope[moved].mean() / slope.mean()
    here = slope_at.pop((0, 0))
    assert here > 1.8 * len(SEEDS)
    assert here > 1.15 * max(slope_at.values())


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_portraits_show_one_object_large(label):
    scene = render_portrait(np.random.default_rng([3, label]), label, size=72)
    assert scene.image.shape == (72, 72, 3)
    assert scene.labels.tolist() == [label]
    _, _, width, height = cv2.boundingRect(scene.instances)
    assert max(width, height) > 0.35 * 72
