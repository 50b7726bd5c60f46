"""Cost of whole models: against their forward pass, and against what others count."""

import pytest
import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

from mmsmlp.model_zoo import ROOT
from mmsmlp.model_zoo.whole_models import SIZES, build, model_cost

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")


@pytest.mark.parametrize("name", ["retinanet_smlpnet_t.py", "semantic_fpn_s2mlpv2_s4.py"])
def test_costs_of_parts_sum_to_the_total(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Config.fromfile(ROOT / "configs" / name)
    monkeypatch.setitem(SIZES, cfg.default_scope, (64, 96))
    model = build(cfg)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 64, 96), mode="tensor")
    parameters, flops = model_cost(f"mmsmlp::{name}")
    assert flops == counter.get_total_flops() / 2e9 > 0.1
    assert parameters == sum(parameter.numel() for parameter in model.parameters()) / 1e6


def test_costs_of_peers_match_their_papers() -> None:
    """48M and 267G for Mask R-CNN on Swin-T, 86M and 741G for Cascade on ConvNeXt-T."""
    for name, expected in [
        ("swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py", (48, 267)),
        (
            "convnext/cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py",
            (86, 741),
        ),
    ]:
        parameters, flops = model_cost(f"mmdet::{name}")
        assert parameters == pytest.approx(expected[0], abs=0.5)
        assert flops == pytest.approx(expected[1], abs=1.5)
