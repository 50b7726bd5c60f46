"""Predictions on images as they come."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from mmsmlp.apis.inference import FilePredictor, ModelPredictor

from tests.apis.inference.conftest import MEAN, STD, InTorch  # isort: skip

SIZES = [(70, 90), (90, 70), (90, 70), (64, 200)]


def images() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.mark.parametrize("size", [None, 40])
@pytest.mark.parametrize("scope", ["mmpretrain", "mmseg"])
def test_a_file_gives_what_the_model_gives(
    small_model: Callable, scope: str, size: int | None
) -> None:
    model, cfg = small_model(scope)
    exported = InTorch(model, cfg)
    exported.metadata = json.loads(json.dumps(exported.metadata))
    expected = ModelPredictor(model, cfg, size)(images())
    for predict in (FilePredictor(exported, size=size), FilePredictor(exported, cfg, size)):
        found = predict(images())
        assert len(found) == len(SIZES)
        for ours, theirs, shape in zip(found, expected, SIZES, strict=True):
            if scope == "mmseg":
                assert ours.shape == theirs.shape == shape
                assert (ours == theirs).mean() > 0.999
            else:
                np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_batch_gives_what_its_images_give(small_model: Callable) -> None:
    predict = ModelPredictor(*small_model("mmseg"))
    batch = predict(images())
    for image, found in zip(images(), batch, strict=True):
        assert (predict([image])[0] == found).mean() > 0.999


@torch.no_grad()
def test_an_image_reaches_the_network_as_it_should(small_model: Callable) -> None:
    """By hand: channels turned round, normalised, and no further step."""
    model, cfg = small_model("mmpretrain")
    cfg.test_dataloader.dataset.pipeline = [dict(type="PackInputs")]
    image = images()[0]
    rgb = torch.from_numpy(image[..., ::-1].astype(np.float64) - MEAN) / torch.tensor(STD)
    logits = model.head(model.extract_feat(rgb.permute(2, 0, 1)[None].float()))
    expected = logits[0].exp() / logits.exp().sum()
    for predict in (ModelPredictor(model, cfg), FilePredictor(InTorch(model, cfg))):
        np.testing.assert_allclose(predict([image])[0], expected.numpy(), atol=1e-5)


def test_one_class_is_where_it_is_likely(small_model: Callable) -> None:
    model, cfg = small_model("mmseg")
    exported = InTorch(model, cfg)
    logits = torch.tensor([-3.0, -0.9, -0.8, 3]).view(1, 1, 1, 4)
    predict = FilePredictor(exported)
    predict.exported = lambda image: dict(logits=logits)
    predict.exported.metadata = exported.metadata
    # Of a sigmoid, -0.85 is 0.3.
    assert predict([np.zeros((1, 4, 3), dtype=np.uint8)])[0].tolist() == [[0, 0, 1, 1]]
