"""Parameters and multiply-adds, counted without memory for numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmsmlp.registry import MODELS

SIZE = 224
CLASSES = 1000
# The table of its paper leaves the classifier out.
WITHOUT_CLASSIFIER = ("mmsmlp.S2MLP",)


def multiply_adds(forward: Callable[[], Any]) -> float:
    """Billions of multiply-adds of the matrix products and convolutions that a function runs."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops() / 2e9


def parameters(module: nn.Module) -> float:
    """Millions of parameters."""
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def paper_cost(backbone: Mapping[str, Any]) -> tuple[float, float]:
    """Parameters and FLOPs of a backbone, counted as in the papers' tables.

    Args:
        backbone: Its config.

    Returns:
        Millions of parameters, and billions of multiply-adds of an image of 224×224, as a
        classifier of 1000 classes (S²-MLP: without the classifier).
    """
    with torch.device("meta"):
        network = MODELS.build(dict(backbone, out_indices=-1)).eval()
        head = nn.Identity()
        if backbone["type"] not in WITHOUT_CLASSIFIER:
            head = nn.Linear(network.channels[0], CLASSES)
        image = torch.zeros(1, 3, SIZE, SIZE)
    flops = multiply_adds(lambda: head(network(image)[0].mean((2, 3))))
    return parameters(nn.ModuleList([network, head])), flops
