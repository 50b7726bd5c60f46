"""What an image is batched with, measured on sized-down Mask R-CNNs with random weights."""

from contextlib import nullcontext
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.utils.data import Dataset

from mmsmlp.engine.hooks import calibrate_norms
from tests.helpers import ROOT, load_tool

pytest.importorskip("mmdet")
from mmdet.structures import DetDataSample

BACKBONES = {
    "SMLPNet": dict(
        type="mmsmlp.SMLPNet",
        arch=dict(embed_dims=(16, 32, 64, 128), depths=(1, 1, 2, 1), mlp_ratio=2),
        img_size=64,
    ),
    "Swin": dict(
        type="SwinTransformer",
        embed_dims=16,
        depths=[2, 2, 2, 2],
        num_heads=[1, 2, 4, 8],
        drop_path_rate=0.0,
    ),
}


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    return load_tool("measure_padding")


class Images(Dataset):
    """Four images of different sizes, coloured blotches with some noise."""

    sizes = [(85, 108), (110, 88), (96, 96), (71, 96)]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        blotches = F.interpolate(
            255 * torch.rand(1, 3, 9, 9, generator=generator), self.sizes[index], mode="bicubic"
        )[0]
        noise = 20 * torch.randn(blotches.shape, generator=generator)
        size = dict(img_shape=self.sizes[index], ori_shape=self.sizes[index])
        return dict(
            inputs=(blotches + noise).clamp(0, 255).to(torch.uint8),
            data_samples=DetDataSample(metainfo=dict(size, scale_factor=(1.0, 1.0), img_id=index)),
        )


def build(backbone: str) -> nn.Module:
    """A detector whose scores are spread, as random heads of the usual scale would not."""
    cfg = Config.fromfile(ROOT / "configs/experiments/padding/_base_.py").model
    cfg.backbone = BACKBONES[backbone]
    cfg.neck.in_channels = [16, 32, 64, 128]
    cfg.roi_head.bbox_head.num_classes = cfg.roi_head.mask_head.num_classes = 5
    cfg.test_cfg.rpn.max_per_img = 50
    init_default_scope("mmdet")
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    for head in (model.rpn_head.rpn_cls, model.roi_head.bbox_head.fc_cls):
        nn.init.normal_(head.weight, std=0.3)
    return model.eval()


def measured(measure: ModuleType, model: nn.Module, context) -> tuple[list[float], list[float]]:
    """Relative change of the maps, and [detections, share of the same, their scores, boxes]."""
    features, detections = 0, 0
    for i in range(len(Images())):
        batches = measure.alone_and_together(Images(), i, 1.25)
        with context(model.backbone):
            features += measure.feature_change(model, *batches)
            detections += measure.detection_change(model, *batches)
    number, same, score, box = detections.tolist()
    maps = (features[:, 0] / features[:, 1]).sqrt().tolist()
    return maps, [number, same / number, score / same, box / same]


def test_detections_agree_as_closely_as_those_of_swin(measure: ModuleType) -> None:
    """An image alone and beside a larger one, in inference."""
    model = build("SMLPNet")
    images = [measure.preprocess(model, [Images()[i]])["inputs"] for i in range(4)]
    calibrate_norms(model.backbone, images)
    maps, (number, same, score, box) = measured(measure, model, nullcontext)
    assert max(maps) < 1e-5
    swin_maps, (swin_number, swin_same, swin_score, swin_box) = measured(
        measure, build("Swin"), nullcontext
    )
    assert min(number, swin_number) > 100
    assert min(swin_maps) > 1e-4
    assert same >= swin_same and score <= swin_score and box <= swin_box
    # The measure itself tells networks that see padding from those that do not.
    seen_maps, (_, seen_same, *_) = measured(measure, model, measure.padding_left_in)
    assert min(seen_maps) > 0.1 and seen_same < 0.5
    assert model.backbone.training is False
