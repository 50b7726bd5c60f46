"""Proof that a model works: it is built, and looks at an image."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor, nn

from .backbones import build, one_line
from .errors import SwapError

# Height and width of the image: no multiples of strides.
PROOF_SIZE = (200, 150)


def build_model(cfg: Mapping[str, Any]) -> nn.Module:
    """Build the model of a config, with random weights but for those of its backbone, if given.

    Args:
        cfg: The config.

    Raises:
        SwapError: If it cannot be built.
        CheckpointError: If weights do not arrive.
    """
    model = build(cfg["model"], cfg["default_scope"], "model")
    backbone = getattr(model, "detector", model).backbone
    if (backbone.init_cfg or {}) and _names_weights(backbone.init_cfg):
        backbone.init_weights()
    return model


def _names_weights(init_cfg: Any) -> bool:
    parts = init_cfg if isinstance(init_cfg, list) else [init_cfg]
    return any(part["type"] == "Pretrained" for part in parts)


def image_sample(scope: str, image: Tensor) -> dict[str, Any]:
    """An image as a data set of a library gives it, without annotations.

    Args:
        scope: ``'mmdet'`` or ``'mmseg'``.
        image: ``(3, H, W)``, of bytes.
    """
    structures = importlib.import_module(f"{scope}.structures")
    sample = structures.DetDataSample() if scope == "mmdet" else structures.SegDataSample()
    size = tuple(image.shape[1:])
    sample.set_metainfo(dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0))
    return dict(inputs=[image], data_samples=[sample])


def prove(model: nn.Module, scope: str) -> list[Any]:
    """Let a model predict something of an image of noise.

    Args:
        model: The model.
        scope: ``'mmdet'`` or ``'mmseg'``.

    Returns:
        The predictions, a data sample.

    Raises:
        SwapError: If it fails.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, *PROOF_SIZE), dtype=torch.uint8, generator=generator)
    model.to(get_device()).eval()
    try:
        with torch.no_grad():
            return model.test_step(image_sample(scope, image))
    except Exception as error:  # whatever a third party's model raises
        raise SwapError(f"it was built, but its forward pass fails: {one_line(error)}") from error
