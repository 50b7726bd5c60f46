"""Small models of each kind, with the configs that they are of."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmsmlp.deploy.metadata import metadata_of
from mmsmlp.deploy.parts import flatten, parts_of
from mmsmlp.model_zoo.whole_models import build

ARCH = dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2)
MEAN, STD = [123.7, 116.3, 103.5], [58.4, 57.1, 57.4]
CLASSES = ("cat", "dog", "bird", "cow", "ant")
PALETTE = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (99, 99, 0), (0, 99, 99)]
META = dict(classes=CLASSES, palette=PALETTE)
MODELS: dict[str, dict[str, Any]] = {
    "mmpretrain": dict(
        type="ImageClassifier",
        data_preprocessor=dict(type="ClsDataPreprocessor", mean=MEAN, std=STD, to_rgb=True),
        neck=dict(type="GlobalAveragePooling"),
        head=dict(type="LinearClsHead", num_classes=5, in_channels=16),
    ),
    "mmseg": dict(
        type="EncoderDecoder",
        data_preprocessor=dict(type="SegDataPreProcessor", mean=MEAN, std=STD, bgr_to_rgb=True),
        decode_head=dict(
            type="FCNHead", in_channels=16, in_index=0, channels=8, num_classes=5, num_convs=1
        ),
        test_cfg=dict(mode="whole"),
    ),
}
PIPELINES = {
    "mmpretrain": [
        dict(type="LoadImageFromFile"),
        dict(type="ResizeEdge", scale=64, edge="short"),
        dict(type="CenterCrop", crop_size=48),
        dict(type="PackInputs"),
    ],
    "mmseg": [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(256, 64), keep_ratio=True),
        dict(type="LoadAnnotations"),
        dict(type="PackSegInputs"),
    ],
}


class InTorch:
    """What stands for an exported file: its metadata, and what is in it."""

    def __init__(self, model: nn.Module, cfg: Config) -> None:
        self.part, _ = parts_of(model)
        with torch.no_grad():
            _, nest = flatten(self.part.results(torch.rand(1, 3, 64, 64)))
        self.metadata = metadata_of(self.part, nest, model.data_preprocessor, META, cfg, "fp32")

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(logits=self.part.results(image)[0])


@pytest.fixture
def small_model() -> Callable[[str], tuple[nn.Module, Config]]:
    """The model of a library, with its config."""

    def make(scope: str) -> tuple[nn.Module, Config]:
        pytest.importorskip(scope)
        backbone = dict(type="mmsmlp.SMLPNet", arch=ARCH, img_size=32, out_indices=(1,))
        dataset = dict(dataset=dict(pipeline=PIPELINES[scope]))
        cfg = Config(
            dict(
                default_scope=scope,
                model=dict(MODELS[scope], backbone=backbone),
                test_dataloader=dataset,
            )
        )
        torch.manual_seed(0)
        model = build(cfg)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        return model, cfg

    return make
