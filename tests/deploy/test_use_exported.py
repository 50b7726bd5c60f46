"""Models that run a file in place of their own parts predict what they predict alone."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import nn

from mmsmlp.deploy import check_rest, use_exported
from mmsmlp.deploy.parts import flatten, kind_of, parts_of, unflatten
from mmsmlp.errors import ExportError

ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), patch_sizes=(4, 2, 2, 2), mlp_ratio=2)
BACKBONE = dict(type="mmsmlp.SMLPNet", arch=ARCH, img_size=64)
NECK = dict(type="FPN", in_channels=[8, 16, 24, 32], out_channels=8, num_outs=5)
DENSE = dict(num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1)
GN = dict(norm_cfg=dict(type="GN", num_groups=2))
STRIDES = dict(strides=[4, 8, 16, 32, 64])
NMS = dict(nms_pre=100, score_thr=0.01, nms=dict(type="nms", iou_threshold=0.5), max_per_img=9)
MASKS = dict(nms_pre=50, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel="gaussian", sigma=2.0)
PREPROCESSOR = dict(type="DetDataPreprocessor", pad_size_divisor=32)
MODELS = {
    "FCOS": dict(bbox_head=dict(type="FCOSHead", **DENSE, **STRIDES, **GN), test_cfg=NMS),
    "SOLO": dict(
        mask_head=dict(
            **dict(DENSE, type="SOLOHead", num_grids=[9, 8, 6, 4, 3], pos_scale=0.2, **STRIDES),
            scale_ranges=((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)),
            cls_down_index=0,
            norm_cfg=dict(type="BN"),
        ),
        test_cfg=dict(MASKS, max_per_img=9),
    ),
    "CondInst": dict(
        bbox_head=dict(
            **dict(type="CondInstBboxHead", num_params=169, **DENSE, **STRIDES, **GN),
            norm_on_bbox=True,
            centerness_on_reg=True,
        ),
        mask_head=dict(
            type="CondInstMaskHead",
            num_layers=3,
            feat_channels=8,
            size_of_interest=8,
            mask_out_stride=4,
            loss_mask=dict(type="DiceLoss", use_sigmoid=True),
            mask_feature_head=dict(
                in_channels=8,
                feat_channels=8,
                start_level=0,
                end_level=2,
                out_channels=8,
                mask_stride=8,
                num_stacked_convs=1,
                norm_cfg=dict(type="BN", requires_grad=True),
            ),
        ),
        test_cfg=dict(NMS, mask_thr=0.5),
    ),
}
LEAVES = {"FCOS": False, "SOLO": False, "CondInst": True}


class Held:
    """What stands for a file: the form of export."""

    def __init__(self, model: nn.Module) -> None:
        part, self.form = parts_of(model)
        with torch.no_grad():
            _, self.nest = flatten(part.results(torch.rand(1, 3, 256, 256)))
        self.metadata = dict(kind=part.kind)

    def __call__(self, image: torch.Tensor) -> dict:
        results = unflatten(self.form(image), self.nest)
        return dict(zip(self.form.names, results, strict=True))


def detector(name: str) -> nn.Module:
    registry = pytest.importorskip("mmdet.registry")
    init_default_scope("mmdet")
    torch.manual_seed(0)
    model = dict(type=name, data_preprocessor=PREPROCESSOR, backbone=BACKBONE, neck=NECK)
    model = registry.MODELS.build(ConfigDict(model | MODELS[name]))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_a_detector_predicts_the_same(name: str) -> None:
    model = detector(name)
    from mmdet.structures import DetDataSample

    deployed = copy.deepcopy(model)
    use_exported(deployed, Held(model))
    assert deployed.data_preprocessor.pad_size_divisor == 1
    # The file replaces these.
    for parameter in deployed.backbone.parameters():
        parameter.data.fill_(float("nan"))
    image = torch.randint(0, 256, (3, 70, 101), dtype=torch.uint8)
    meta = dict(img_shape=(70, 101), ori_shape=(70, 101), scale_factor=(1.0, 1.0))
    expected, found = (
        one.test_step(dict(inputs=[image], data_samples=[DetDataSample(metainfo=meta)]))[
            0
        ].pred_instances
        for one in (model, deployed)
    )
    assert len(expected) == len(found) > 3
    assert expected.keys() == found.keys()
    assert (expected.labels == found.labels).all()
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.bboxes, expected.bboxes, atol=0.02, rtol=1e-3)
    if name != "FCOS":
        assert (found.masks == expected.masks).float().mean() > 0.999


@pytest.mark.parametrize("name", MODELS)
def test_missing_parts_of_a_file_are_requested(name: str) -> None:
    kind = kind_of(detector(name))
    assert kind.leaves == LEAVES[name]
    held = Held.__new__(Held)
    held.metadata = dict(kind=kind.kind)
    check_rest("model.onnx", held, "rest.pth" if LEAVES[name] else None)
    with pytest.raises(ExportError, match="add --rest" if LEAVES[name] else "holds a whole"):
        check_rest("model.onnx", held, None if LEAVES[name] else "rest.pth")


def test_a_file_of_another_kind_is_named() -> None:
    held = Held(detector("FCOS"))
    with pytest.raises(ExportError, match="the file holds a one-stage detector, the config desc"):
        use_exported(detector("CondInst"), held)
