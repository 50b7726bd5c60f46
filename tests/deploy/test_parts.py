"""What is exported of a model, beside what its library makes of images."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from torch import nn

from mmsmlp.deploy.parts import divisor_of, kind_of, parts_of

ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), patch_sizes=(4, 2, 2, 2), mlp_ratio=2)
BACKBONES = {
    "ours": dict(type="mmsmlp.SMLPNet", arch=ARCH, img_size=64),
    "another": dict(type="ResNet", depth=18, base_channels=4, out_indices=(0, 1, 2, 3)),
}
CHANNELS = dict(ours=[8, 16, 24, 32], another=[4, 8, 16, 32])
HEAD = dict(type="FCNHead", in_index=3, in_channels=32, channels=8, num_classes=3, num_convs=1)


def segmentor(**preprocessor: object) -> nn.Module:
    registry = pytest.importorskip("mmseg.registry")
    init_default_scope("mmseg")
    torch.manual_seed(0)
    model = dict(
        type="EncoderDecoder",
        data_preprocessor=dict(type="SegDataPreProcessor", **preprocessor),
        backbone=BACKBONES["ours"],
        decode_head=HEAD,
        test_cfg=dict(mode="whole"),
    )
    return random(registry.MODELS.build(ConfigDict(model)))


def detector(backbone: str, divisor: int) -> nn.Module:
    registry = pytest.importorskip("mmdet.registry")
    init_default_scope("mmdet")
    torch.manual_seed(0)
    neck = dict(type="FPN", in_channels=CHANNELS[backbone], out_channels=8, num_outs=4)
    head = dict(type="FCOSHead", num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1)
    head["norm_cfg"] = dict(type="GN", num_groups=2)
    model = dict(
        type="FCOS",
        data_preprocessor=dict(type="DetDataPreprocessor", pad_size_divisor=divisor),
        backbone=BACKBONES[backbone],
        neck=neck,
        bbox_head=dict(head, strides=(4, 8, 16, 32)),
        test_cfg=dict(nms_pre=100, score_thr=0.01, nms=dict(type="nms"), max_per_img=9),
    )
    return random(registry.MODELS.build(ConfigDict(model)))


def random(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("divisor", [1, 32])
@torch.no_grad()
def test_a_detector_gets_maps_as_of_its_preprocessor(backbone: str, divisor: int) -> None:
    model = detector(backbone, divisor)
    assert divisor_of(model) == divisor and kind_of(model).kind == "one-stage detector"
    image = torch.randint(0, 256, (3, 70, 101), dtype=torch.uint8)
    batch = model.data_preprocessor(dict(inputs=[image]))["inputs"]
    expected = [y for maps in model.bbox_head(model.extract_feat(batch)) for y in maps]
    for part in parts_of(model):
        found = part(image[None].float())
        assert [y.shape for y in found] == [y.shape for y in expected]
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("divisor", [None, 32])
@torch.no_grad()
def test_a_segmentor_gives_logits_of_the_image(divisor: int | None) -> None:
    pytest.importorskip("mmseg")
    from mmseg.structures import SegDataSample

    model = segmentor(test_cfg=dict(size_divisor=divisor) if divisor else None)
    image = torch.randint(0, 256, (3, 70, 101), dtype=torch.uint8)
    sample = SegDataSample(metainfo=dict(img_shape=(70, 101), ori_shape=(70, 101)))
    (expected,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
    for part in parts_of(model):
        (logits,) = part(image[None].float())
        torch.testing.assert_close(logits[0], expected.seg_logits.data, atol=1e-4, rtol=1e-4)
