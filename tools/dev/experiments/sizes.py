"""Top-1 of a CIFAR-10 classifier at other sizes than its own, under every axial mode.

Written as JSON: by mode, then by size, without and with re-estimated statistics of batch norms.
`stretched` is the first mode with local convolutions that reach as far across the image as in
training, `back` an image resized to the native size.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint, set_random_seed
from mmpretrain.registry import DATASETS, MODELS
from torch import Tensor, nn

from mmsmlp.checkpoints import guard_loading
from mmsmlp.engine.hooks import calibrate_norms
from mmsmlp.models.layers import AXIAL_MODES

NATIVE = (32, 32)
SIZES = [(24, 24), NATIVE, (40, 40), (48, 48), (64, 64), (96, 96), (32, 64), (64, 32)]
NUM_TEST, NUM_CALIBRATION, BATCH = 2500, 1000, 250


def label(size: tuple[int, int]) -> str:
    """Height and width, as the tables have them."""
    return f"{size[0]}x{size[1]}"


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


def stretched(kernels: Tensor, ratios: tuple[float, float]) -> Tensor:
    """3×3 kernels ``(C, 1, 3, 3)`` with their taps some ratio of tokens apart along each axis.

    A tap between two tokens is shared linearly between them.
    """
    taps = []
    for ratio in ratios:
        reach = math.ceil(ratio)
        tokens = torch.arange(-reach, reach + 1)
        taps.append((1 - (tokens[:, None] - ratio * torch.tensor([-1, 0, 1])).abs()).clamp(min=0))
    rows, columns = (matrix.to(kernels) for matrix in taps)
    return torch.einsum("ai,bj,coij->coab", rows, columns, kernels)


def stretch_convolutions(backbone: nn.Module, size: tuple[int, int]) -> None:
    """Let the depthwise convolutions reach as far across an image of ``size`` as natively."""
    for conv in backbone.modules():
        if isinstance(conv, nn.Conv2d) and conv.groups > 1:
            ratios = [a / b for a, b in zip(size, NATIVE, strict=True)]
            conv.weight = nn.Parameter(stretched(conv.weight.detach(), ratios))
            conv.kernel_size = tuple(conv.weight.shape[2:])
            conv.padding = tuple(k // 2 for k in conv.kernel_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("config", "checkpoint", "out"):
        parser.add_argument(name)
    parser.add_argument("networks", nargs="+", choices=(*AXIAL_MODES, "stretched"))
    args = parser.parse_args()
    cfg = Config.fromfile(args.config)
    init_default_scope("mmpretrain")
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).eval()
    guard_loading()
    load_checkpoint(model, args.checkpoint, strict=True)
    test = cfg.test_dataloader.dataset
    x, labels = images(test, model.data_preprocessor, NUM_TEST)
    # As the hook and the tool do it, with the training's own pipeline: the weights have learnt with
    # statistics of its crops, border included.
    set_random_seed(0)
    train = cfg.train_dataloader.dataset
    unlabelled, _ = images(train, model.data_preprocessor, NUM_CALIBRATION)

    found: dict[str, Any] = {name: {} for name in (*args.networks, "back")}
    for size in SIZES:
        found["back"][label(size)] = top1(model, x, labels, size, NATIVE)
        for mode in args.networks:
            other = copy.deepcopy(model)
            if mode == "stretched":
                stretch_convolutions(other.backbone, size)
            else:
                other.backbone.axial_mode = mode
            before = top1(other, x, labels, size)
            calibrate_norms(other.backbone, (resized(y, size) for y in unlabelled.split(BATCH)))
            found[mode][label(size)] = [before, top1(other, x, labels, size)]
    Path(args.out).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
