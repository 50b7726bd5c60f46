"""Small models of each kind, with the configs and checkpoints that they are of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmsmlp.deploy.exporting import Loaded
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
    "mmdet": dict(
        type="FCOS",
        data_preprocessor=dict(
            type="DetDataPreprocessor", mean=MEAN, std=STD, bgr_to_rgb=True, pad_size_divisor=32
        ),
        neck=dict(type="FPN", in_channels=[16], out_channels=8, num_outs=2),
        bbox_head=dict(
            type="FCOSHead",
            num_classes=5,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            strides=[8, 16],
            regress_ranges=((-1, 64), (64, 10**8)),
            norm_cfg=dict(type="GN", num_groups=2),
        ),
        test_cfg=dict(
            nms_pre=50, score_thr=0.01, nms=dict(type="nms", iou_threshold=0.5), max_per_img=9
        ),
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
    "mmdet": [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(128, 64), keep_ratio=True),
        dict(type="LoadAnnotations", with_bbox=True),
        dict(
            type="PackDetInputs",
            meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
        ),
    ],
}
DATASETS = dict(mmdet="CocoDataset", mmseg="BaseSegDataset", mmpretrain="CustomDataset")


def configure(scope: str, channels: int = 3, **loading: Any) -> Config:
    """The config of a library's small model, whose images are loaded in some way."""
    pytest.importorskip(scope)
    backbone = dict(
        type="mmsmlp.SMLPNet", arch=ARCH, img_size=32, out_indices=(1,), in_channels=channels
    )
    model = dict(MODELS[scope], backbone=backbone)
    if channels != 3:
        rgb = "to_rgb" if scope == "mmpretrain" else "bgr_to_rgb"
        # The libraries normalise one or three.
        one = channels == 1
        numbers = {"mean": [100.0] if one else None, "std": [60.0] if one else None, rgb: False}
        model["data_preprocessor"] = {**model["data_preprocessor"], **numbers}
    load, *steps = PIPELINES[scope]
    dataset = dict(type=DATASETS[scope], metainfo=META, pipeline=[{**load, **loading}, *steps])
    return Config(
        dict(default_scope=scope, model=model, test_dataloader=dict(dataset=dataset)),
    )


def randomise(cfg: Config) -> Loaded:
    """A model of a config, with weights whose predictions differ from pixel to pixel."""
    torch.manual_seed(0)
    model = build(cfg)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return Loaded(model, META, "")


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Config], tuple[str, str]]:
    """Writes a config, and a checkpoint of random weights of its model."""

    def save(cfg: Config) -> tuple[str, str]:
        config, checkpoint = str(tmp_path / "model.py"), str(tmp_path / "model.pth")
        cfg.dump(config)
        state = dict(state_dict=randomise(cfg).model.state_dict(), meta=dict(dataset_meta=META))
        torch.save(state, checkpoint)
        return config, checkpoint

    return save
