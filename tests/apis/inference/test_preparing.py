"""Images are made ready as the libraries do it."""

import numpy as np
import pytest

from mmsmlp.apis.inference.preparing import sized, steps_behind_loading
from mmsmlp.errors import UsageError

LOADING = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", reduce_zero_label=True)]
PIPELINES = {
    "mmpretrain": [
        [
            dict(type="ResizeEdge", scale=48, edge="short", backend="pillow"),
            dict(type="CenterCrop", crop_size=32),
            dict(type="PackInputs"),
        ],
        [dict(type="ResizeEdge", scale=48, edge="long"), dict(type="PackInputs")],
        [dict(type="ResizeEdge", scale=48, edge="width"), dict(type="PackInputs")],
        [dict(type="Resize", scale=[40, 30]), dict(type="PackInputs")],
    ],
    "mmseg": [
        [dict(type="Resize", scale=[128, 48], keep_ratio=True), dict(type="PackSegInputs")],
        [dict(type="mmseg.Resize", scale_factor=1.5), dict(type="PackSegInputs")],
        [dict(type="PackSegInputs")],
    ],
}
CASES = [(library, steps) for library, pipelines in PIPELINES.items() for steps in pipelines]
SIZES = [(60, 90), (91, 52), (64, 64)]


def noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("library", "pipeline"), CASES)
def test_sizes_are_those_of_the_library(
    library: str, pipeline: list[dict], size: tuple[int, int]
) -> None:
    registry = pytest.importorskip(f"{library}.registry")
    from mmengine.dataset import Compose
    from mmengine.registry import init_default_scope

    init_default_scope(library)
    assert registry.TRANSFORMS.scope == library
    tuples = [{k: tuple(v) if isinstance(v, list) else v for k, v in s.items()} for s in pipeline]
    image = noise(size)
    data = Compose(tuples)(dict(img=image, img_path="", img_shape=size, ori_shape=size))
    ours = sized(image, steps_behind_loading([*LOADING, *pipeline]))
    np.testing.assert_array_equal(ours, data["inputs"].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("library", "pipeline"), CASES)
def test_the_shorter_side_may_be_chosen(
    library: str, pipeline: list[dict], size: tuple[int, int]
) -> None:
    height, width = sized(noise(size), steps_behind_loading(pipeline, 40)).shape[:2]
    assert min(height, width) == 40
    assert height / width == pytest.approx(size[0] / size[1], rel=0.02)


def test_a_step_that_only_its_library_knows_is_named() -> None:
    with pytest.raises(UsageError, match="has a step PhotoMetricDistortion, which an exported"):
        sized(noise((8, 8)), [dict(type="mmseg.PhotoMetricDistortion")])
