"""Small models of the three libraries with random weights, as trainings leave them."""

from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsmlp.datasets.mini.scenes import render_scene
from mmsmlp.model_zoo.whole_models import build

CLASSES = ["cat", "dog", "bird"]
ARCH = dict(embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), mlp_ratio=2)
BACKBONE = dict(type="mmsmlp.SMLPNet", arch=ARCH, img_size=64)
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def segmentor() -> dict:
    head = dict(type="FCNHead", in_channels=16, channels=8, num_classes=3, num_convs=1)
    preprocessor = dict(type="SegDataPreProcessor", mean=MEAN, std=STD, bgr_to_rgb=True)
    return dict(
        default_scope="mmseg",
        model=dict(
            type="EncoderDecoder",
            data_preprocessor=preprocessor,
            backbone=BACKBONE,
            decode_head=dict(head, in_index=3),
            test_cfg=dict(mode="whole"),
        ),
        visualizer=dict(type="SegLocalVisualizer"),
        test_dataloader=pipeline(
            dict(type="Resize", scale=(160, 96), keep_ratio=True), dict(type="PackSegInputs")
        ),
    )


def classifier() -> dict:
    return dict(
        default_scope="mmpretrain",
        data_preprocessor=dict(mean=MEAN, std=STD, to_rgb=True),
        model=dict(
            type="ImageClassifier",
            backbone=dict(BACKBONE, out_indices=(3,)),
            neck=dict(type="GlobalAveragePooling"),
            head=dict(type="LinearClsHead", num_classes=3, in_channels=16),
        ),
        visualizer=dict(type="UniversalVisualizer"),
        test_dataloader=pipeline(
            dict(type="ResizeEdge", scale=80, edge="short"),
            dict(type="CenterCrop", crop_size=64),
            dict(type="PackInputs"),
        ),
    )


def detector() -> dict:
    cfg = Config.fromfile(Path(__file__).parents[3] / "configs" / "mask_rcnn_smlpnet_t.py")
    model = cfg.model
    model.backbone.update(arch=ARCH, img_size=64)
    model.neck.update(in_channels=[8, 8, 16, 16], out_channels=16)
    model.rpn_head.update(in_channels=16, feat_channels=16)
    roi = model.roi_head
    for part in ("bbox", "mask"):
        roi[f"{part}_roi_extractor"].out_channels = 16
        roi[f"{part}_head"].update(in_channels=16, num_classes=3)
    roi.bbox_head.fc_out_channels = roi.mask_head.conv_out_channels = 16
    model.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
    model.test_cfg.rcnn.max_per_img = 10
    return dict(
        default_scope="mmdet",
        model=model.to_dict(),
        visualizer=dict(type="DetLocalVisualizer"),
        test_dataloader=pipeline(
            dict(type="Resize", scale=(160, 96), keep_ratio=True),
            dict(type="PackDetInputs"),
            type="CocoDataset",
        ),
    )


def pipeline(*steps: dict, **dataset: str) -> dict:
    return dict(dataset=dict(dataset, pipeline=[dict(type="LoadImageFromFile"), *steps]))


KINDS = dict(detector=detector, segmentor=segmentor, classifier=classifier)


@pytest.fixture(scope="session")
def work_dirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a work directory of each kind, with two checkpoints of the detector."""
    for library in ("mmdet", "mmseg", "mmpretrain"):
        pytest.importorskip(library)
    folder = tmp_path_factory.mktemp("work_dirs")
    for kind, make in KINDS.items():
        (folder / kind).mkdir()
        Config(make()).dump(folder / kind / f"{kind}.py")
        for i in range(2 if kind == "detector" else 1):
            torch.manual_seed(i)
            cfg = Config.fromfile(folder / kind / f"{kind}.py")
            if preprocessor := cfg.get("data_preprocessor"):
                cfg.model.data_preprocessor = preprocessor
            model = build(cfg)
            for name, value in model.state_dict().items():
                if value.is_floating_point() and not name.endswith("running_var"):
                    value.add_(torch.randn_like(value), alpha=0.1)
            meta = dict(classes=CLASSES)
            if kind == "detector":
                meta["palette"] = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
            content = dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta))
            torch.save(content, folder / kind / f"iter_{i + 1}.pth")
    return folder


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of 640×480 pixels, which is shown as it is."""
    path = tmp_path_factory.mktemp("images") / "image.png"
    scene = render_scene(np.random.default_rng(0)).image
    mmcv.imwrite(mmcv.imresize(scene, (640, 480))[..., ::-1], str(path))
    return path
