"""The first steps of every recipe with S²-MLPv2: no shifted map is chosen before all is learnt."""

import json
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from mmsmlp.models.backbones import S2MLPv2
from mmsmlp.models.layers import SplitAttention
from mmsmlp.registry import MODELS

FOLDER = Path(__file__).parents[1] / "configs"
RECIPES = sorted(path for path in FOLDER.rglob("*s2mlpv2*.py") if path.parent.name != "_base_")
STEPS, WARM_UP, BATCH, CLASSES, SIDE = 100, 10, 8, 4, 32


class Classifier(nn.Module):
    """A backbone, and a linear layer on the mean of its last map."""

    def __init__(self, backbone: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.backbone.init_weights()
        self.head = nn.Linear(self.backbone.channels[0], CLASSES)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        (features,) = self.backbone(images)
        return F.cross_entropy(self.head(features.mean(dim=(2, 3))), labels, label_smoothing=0.1)


def setting(path: Path) -> str:
    """What of a recipe decides about the first steps, with one block a stage and no dropping."""
    cfg = Config.fromfile(path)
    backbone, optimizer = cfg.model.backbone.to_dict(), cfg.optim_wrapper.to_dict()
    arch = backbone["arch"]
    arch = S2MLPv2.variants[arch] if isinstance(arch, str) else arch
    arch = dict(arch, depths=[1] * len(arch["depths"]))
    backbone.update(arch=arch, drop_path_rate=0.0, out_indices=-1)
    optimizer.pop("accumulative_counts", None)  # batches of any size will do
    return json.dumps(dict(backbone=backbone, optim_wrapper=optimizer), sort_keys=True)


@lru_cache  # recipes share it
def first_steps(text: str) -> tuple[list[float], list[float]]:
    """The loss of each step, and the mean over channels of the largest weight of a map."""
    torch.manual_seed(0)
    cfg = json.loads(text)
    model = Classifier(cfg["backbone"]).train()
    wrapper = build_optim_wrapper(model, cfg["optim_wrapper"])
    groups = wrapper.optimizer.param_groups
    peaks = [group["lr"] for group in groups]
    seen: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, SplitAttention):
            module.register_forward_hook(lambda *call: seen.append(call[2].detach().amax(1).mean()))
    prototypes = torch.randn(CLASSES, 3, 8, 8)
    losses, largest = [], []
    for step in range(STEPS):
        labels = torch.randint(CLASSES, (BATCH,))
        coarse = prototypes[labels] + torch.randn(BATCH, 3, 8, 8)
        images = F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * min(1, (step + 1) / WARM_UP)
        loss = model(images, labels)
        wrapper.update_params(loss)
        losses.append(loss.item())
        largest.append(torch.stack(seen).mean().item())
        seen.clear()
    return losses, largest


# Pretraining, whose rates are the highest, and dense training; most of the others are like one.
QUICK = ("cifar10_s2mlpv2", "s2mlpv2_s7_in1k", "mask_rcnn_s2mlpv2_s4")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.long] * (path.stem not in QUICK), id=path.stem)
        for path in RECIPES
    ],
)
def test_split_attention_stays_open_at_the_peak_rate(path: Path) -> None:
    pytest.importorskip(Config.fromfile(path).default_scope)
    losses, largest = first_steps(setting(path))
    assert max(largest) < 0.6
    assert sum(losses[-10:]) < sum(losses[:10])
