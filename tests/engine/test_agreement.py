"""Training by our tool and by mmengine's own Runner, on the same config without randomness."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tests.helpers import LIBRARY, tool

BACKBONE = dict(
    type="mmsmlp.SMLPNet",
    arch=dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratio=2),
    img_size=64,
)
NORMALISED = dict(mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4])
CLASSES = ("ball", "box", "cone", "ring", "star")
DETECTOR = dict(
    type="RetinaNet",
    data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32, **NORMALISED),
    backbone=BACKBONE,
    neck=dict(type="FPN", in_channels=[8, 16, 24, 32], out_channels=16, num_outs=4),
    bbox_head=dict(
        type="RetinaHead",
        num_classes=5,
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        anchor_generator=dict(
            type="AnchorGenerator", scales=[4], ratios=[1.0], strides=[4, 8, 16, 32]
        ),
        bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
    ),
    train_cfg=dict(
        assigner=dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4),
        sampler=dict(type="PseudoSampler"),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
)
SEGMENTOR = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(type="SegDataPreProcessor", size=(128, 192), **NORMALISED),
    backbone=BACKBONE,
    decode_head=dict(
        type="FCNHead",
        in_channels=16,
        in_index=1,
        channels=8,
        num_convs=1,
        num_classes=6,
        dropout_ratio=0,
        norm_cfg=dict(type="BN"),
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
)
CLASSIFIER = dict(
    type="ImageClassifier",
    data_preprocessor=dict(num_classes=5, **NORMALISED),
    backbone=dict(BACKBONE, out_indices=3),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", in_channels=32, num_classes=5),
)
TASKS = {
    "detection": (
        DETECTOR,
        dict(
            type="CocoDataset",
            data_root="data/mini",
            ann_file="annotations/instances_train.json",
            data_prefix=dict(img="images/train/"),
            metainfo=dict(classes=CLASSES),
        ),
        [
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="Resize", scale=(96, 96), keep_ratio=True),
            dict(type="PackDetInputs"),
        ],
    ),
    "segmentation": (
        SEGMENTOR,
        dict(
            type="BaseSegDataset",
            data_root="data/mini",
            data_prefix=dict(img_path="images/train", seg_map_path="semantic/train"),
            metainfo=dict(classes=("background", *CLASSES)),
        ),
        [
            dict(type="LoadAnnotations"),
            dict(type="Resize", scale=(96, 96), keep_ratio=True),
            dict(type="PackSegInputs"),
        ],
    ),
    "classification": (
        CLASSIFIER,
        dict(type="CustomDataset", data_prefix="data/mini/classification/train"),
        [dict(type="Resize", scale=(64, 64)), dict(type="PackInputs")],
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_three_steps_give_the_weights_of_mmengines_runner(
    task: str, tiny_mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(LIBRARY[task])
    monkeypatch.chdir(tiny_mini)
    model, dataset, steps = TASKS[task]
    cfg = Config(
        dict(
            default_scope=LIBRARY[task],
            model=model,
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type="DefaultSampler", shuffle=True),
                dataset=dict(dataset, pipeline=[dict(type="LoadImageFromFile"), *steps]),
            ),
            train_cfg=dict(by_epoch=False, max_iters=3),
            optim_wrapper=dict(optimizer=dict(type="AdamW", lr=1e-3)),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3)),
            randomness=dict(seed=5),
        )
    )
    config = tmp_path / "config.py"
    cfg.dump(config)
    tool("train")(config, "--work-dir", tmp_path / "ours")
    # Other people's tools run what was dumped: it names no hook of this package.
    dumped = Config.fromfile(tmp_path / "ours" / "config.py")
    assert dumped.get("custom_hooks") is None
    assert dumped.default_hooks.checkpoint.type == "CheckpointHook"
    dumped.work_dir = str(tmp_path / "theirs")
    dumped.experiment_name = f"theirs_{task}"
    Runner.from_cfg(dumped).train()

    ours, theirs = (
        torch.load(tmp_path / who / "iter_3.pth", weights_only=False)["state_dict"]
        for who in ("ours", "theirs")
    )
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name
