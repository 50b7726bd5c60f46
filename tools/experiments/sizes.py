"""Top-1 of a CIFAR-10 classifier at other sizes than its own, under every axial mode.

Written as JSON: by mode, then by size, without and with re-estimated statistics of batch norms.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmpretrain.registry import DATASETS, MODELS
from torch import Tensor, nn

from mmsmlp.calibration import calibrate_norms
from mmsmlp.layers import AXIAL_MODES

NATIVE = (32, 32)
SIZES = [(24, 24), NATIVE, (40, 40), (48, 48), (64, 64), (96, 96), (32, 64), (64, 32)]
NUM_TEST, NUM_CALIBRATION, BATCH = 5000, 1500, 250


def images(dataset: dict[str, Any], preprocessor: nn.Module, number: int) -> tuple[Tensor, Tensor]:
    """Some images ``(N, 3, 32, 32)`` of a data set, the same each time, and their labels."""
    dataset = DATASETS.build(dataset)
    chosen = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:number]
    samples = [dataset[int(i)] for i in chosen]
    labels = torch.cat([sample["data_samples"].gt_label for sample in samples])
    inputs = torch.stack([sample["inputs"] for sample in samples])
    return preprocessor(dict(inputs=inputs))["inputs"], labels


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


@torch.no_grad()
def top1(model: nn.Module, x: Tensor, labels: Tensor, *sizes: tuple[int, int]) -> float:
    """Accuracy in percent on images that are resized to one size after the other."""
    right = 0
    for batch, target in zip(x.split(BATCH), labels.split(BATCH), strict=True):
        for size in sizes:
            batch = resized(batch, size)
        right += int((model(batch).argmax(1) == target).sum())
    return 100 * right / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("config", "checkpoint", "out"):
        parser.add_argument(name)
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    init_default_scope("mmpretrain")
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).eval()
    load_checkpoint(model, args.checkpoint, strict=True)
    test = cfg.test_dataloader.dataset
    x, labels = images(test, model.data_preprocessor, NUM_TEST)
    # As they are tested: a random crop's black border would be part of the statistics.
    train = dict(cfg.train_dataloader.dataset, pipeline=test.pipeline)
    unlabelled, _ = images(train, model.data_preprocessor, NUM_CALIBRATION)

    found: dict[str, Any] = {mode: {} for mode in AXIAL_MODES}
    found["back"] = {}
    for size in SIZES:
        key = f"{size[0]}x{size[1]}"
        found["back"][key] = top1(model, x, labels, size, NATIVE)
        for mode in AXIAL_MODES:
            other = copy.deepcopy(model)
            other.backbone.axial_mode = mode
            before = top1(other, x, labels, size)
            calibrate_norms(other.backbone, (resized(y, size) for y in unlabelled.split(BATCH)))
            found[mode][key] = [before, top1(other, x, labels, size)]
    Path(args.out).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
