"""Models that wrap a detector, and what is said of one that cannot be built."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmsmlp.errors import SwapError, one_line
from mmsmlp.models.backbones import SMLPNet
from mmsmlp.swap import build_model, predict_noise, swap_backbone
from mmsmlp.swap.backbones import build
from mmsmlp.swap.recipe import RGB

SMALL = dict(arch=dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratio=2), img_size=64)
# Images as Caffe knows them.
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)
DETECTOR = dict(
    type="RetinaNet",
    data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=32, **CAFFE),
    backbone=dict(type="ResNet", depth=18),
    neck=dict(type="FPN", in_channels=[64, 128, 256, 512], out_channels=8, num_outs=4),
    bbox_head=dict(
        type="RetinaHead",
        num_classes=2,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        anchor_generator=dict(
            type="AnchorGenerator", scales=[4], ratios=[1.0], strides=[4, 8, 16, 32]
        ),
    ),
    test_cfg=dict(
        nms_pre=10, score_thr=0.0, max_per_img=5, nms=dict(type="nms", iou_threshold=0.5)
    ),
)
SOFT_TEACHER = dict(
    type="SoftTeacher",
    detector=DETECTOR,
    data_preprocessor=dict(
        type="MultiBranchDataPreprocessor", data_preprocessor=DETECTOR["data_preprocessor"]
    ),
    semi_train_cfg=dict(freeze_teacher=True),
    semi_test_cfg=dict(predict_on="teacher"),
)


class NoTracker:
    """Tracks nothing: those of mmdet want libraries that need not be there."""

    def reset(self) -> None:
        pass

    def track(self, data_sample: Any, **_: Any) -> Any:
        return data_sample.pred_instances


TRACKER = dict(
    type="DeepSORT",
    detector={key: value for key, value in DETECTOR.items() if key != "data_preprocessor"},
    data_preprocessor=dict(type="TrackDataPreprocessor", pad_size_divisor=32, **CAFFE),
    tracker=dict(type=NoTracker),
)


def swapped(model: dict[str, Any], checkpoint: str | None = None) -> dict[str, Any]:
    pytest.importorskip("mmdet")
    cfg = dict(default_scope="mmdet", model=deepcopy(model))
    return swap_backbone(cfg, dict(type="mmsmlp.SMLPNet", **SMALL), checkpoint)


def test_teacher_and_student_get_the_backbone_and_its_weights(tmp_path: Path) -> None:
    source = SMLPNet(**SMALL)
    torch.save(source.state_dict(), tmp_path / "small.pth")
    cfg = swapped(SOFT_TEACHER, str(tmp_path / "small.pth"))
    for preprocessor in (
        cfg["model"]["data_preprocessor"]["data_preprocessor"],
        cfg["model"]["detector"]["data_preprocessor"],
    ):
        assert {key: preprocessor[key] for key in RGB} == RGB
    model = build_model(cfg)
    for part in (model.student, model.teacher):
        weights = part.backbone.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in source.state_dict().items())
    (sample,) = predict_noise(model, Config(dict(default_scope="mmdet")))
    assert len(sample.pred_instances) > 0


def test_a_tracker_looks_at_a_video() -> None:
    model = build_model(swapped(TRACKER))
    assert isinstance(model.detector.backbone, SMLPNet)
    (sample,) = predict_noise(model, Config(dict(default_scope="mmdet")))
    assert len(sample) == 1 and "pred_track_instances" in sample[0]


def test_fast_rcnn_is_given_a_region() -> None:
    roi_head = dict(
        type="StandardRoIHead",
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=2),
            out_channels=8,
            featmap_strides=[4, 8, 16, 32],
        ),
        bbox_head=dict(
            type="Shared2FCBBoxHead",
            in_channels=8,
            fc_out_channels=8,
            roi_feat_size=2,
            num_classes=2,
        ),
    )
    nms = dict(type="nms", iou_threshold=0.5)
    parts = ("data_preprocessor", "backbone", "neck")
    model = dict(
        {key: DETECTOR[key] for key in parts},
        type="FastRCNN",
        roi_head=roi_head,
        train_cfg=None,
        test_cfg=dict(rcnn=dict(score_thr=0.0, max_per_img=5, nms=nms)),
    )
    (sample,) = predict_noise(build_model(swapped(model)), Config(dict(default_scope="mmdet")))
    assert len(sample.pred_instances) > 0


def test_ssd_hands_the_maps_of_the_new_backbone_on() -> None:
    pytest.importorskip("mmdet")
    channels = (512, 1024, 512, 256)
    model = dict(
        type="SingleStageDetector",
        backbone=dict(type="SSDVGG", depth=16, ceil_mode=True, out_feature_indices=(22, 34)),
        neck=dict(
            type="SSDNeck",
            in_channels=channels[:2],
            out_channels=channels,
            level_strides=(2, 2),
            level_paddings=(1, 1),
        ),
        bbox_head=dict(
            type="SSDHead",
            num_classes=2,
            in_channels=channels,
            anchor_generator=dict(
                type="SSDAnchorGenerator",
                input_size=300,
                basesize_ratio_range=(0.15, 0.9),
                strides=[8, 16, 32, 64],
                ratios=[[2]] * 4,
            ),
        ),
    )
    cfg = swapped(model)
    assert cfg["model"]["neck"]["out_channels"] == (16, 24, 512, 256)
    model = build_model(cfg).eval()
    with torch.no_grad():
        scores, _ = model(torch.zeros(1, 3, 300, 300))
    assert [tuple(y.shape[2:]) for y in scores] == [(38, 38), (19, 19), (10, 10), (5, 5)]


def test_an_error_without_a_message_names_its_source() -> None:
    pytest.importorskip("mmdet")
    neck = dict(
        type="SSDNeck",
        in_channels=(1, 2),
        out_channels=(2, 2, 3),
        level_strides=(2,),
        level_paddings=(1,),
    )
    expected = (
        "its neck cannot be built: AssertionError: "
        "`assert in_channels == out_channels[:len(in_channels)]` in SSDNeck"
    )
    with pytest.raises(SwapError) as error:
        build(neck, "mmdet", "neck")
    assert str(error.value) == expected


def test_an_error_outside_of_a_model_names_the_line_alone() -> None:
    try:
        assert [] == [1], ""
    except AssertionError as error:
        error.args = ()
        assert one_line(error) == 'AssertionError: `assert [] == [1], ""`'


def segmentor(channels: int, **loading: Any) -> dict[str, Any]:
    """A config of a segmentor whose images have some number of channels."""
    pytest.importorskip("mmseg")
    normalise = dict(mean=[100.0], std=[50.0]) if channels == 1 else {}
    pipeline = [
        dict(type="LoadImageFromFile", **loading),
        dict(type="Resize", scale=(160, 120), keep_ratio=True),
        dict(type="LoadAnnotations"),
        dict(type="PackSegInputs"),
    ]
    return dict(
        default_scope="mmseg",
        model=dict(
            type="EncoderDecoder",
            pretrained="open-mmlab://resnet18",
            data_preprocessor=dict(type="SegDataPreProcessor", bgr_to_rgb=False, **normalise),
            backbone=dict(type="ResNet", depth=18, in_channels=channels),
            decode_head=dict(
                type="FCNHead", in_channels=512, in_index=3, channels=8, num_classes=2, num_convs=1
            ),
            test_cfg=dict(mode="whole"),
        ),
        test_dataloader=dict(dataset=dict(type="BaseSegDataset", pipeline=pipeline)),
    )


@pytest.mark.parametrize(
    ("channels", "loading"),
    [
        (1, dict(color_type="grayscale")),
        (4, dict(color_type="unchanged")),
        (6, dict(color_type="unchanged", imdecode_backend="tifffile")),
    ],
)
def test_a_backbone_gets_the_channels_of_the_old_one(
    channels: int, loading: dict[str, Any]
) -> None:
    backbone = dict(type="mmsmlp.SMLPNet", **SMALL)
    cfg = Config(swap_backbone(segmentor(channels, **loading), backbone))
    assert cfg.model.backbone.in_channels == channels and cfg.model.pretrained is None
    (sample,) = predict_noise(build_model(cfg), cfg)
    assert sample.pred_sem_seg.shape == (330, 310)


def test_a_model_of_other_channels_than_its_pipeline_loads_is_refused() -> None:
    old = segmentor(1, color_type="grayscale")
    cfg = Config(swap_backbone(old, dict(type="mmsmlp.SMLPNet", in_channels=3, **SMALL)))
    with pytest.raises(SwapError, match=r"its forward pass fails: ValueError: x must be \(N, 3, "):
        predict_noise(build_model(cfg), cfg)
