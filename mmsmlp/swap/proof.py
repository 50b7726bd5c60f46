"""Proof that a model works: it is built, and looks at an image."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmsmlp.errors import SwapError

from .backbones import build
from .failures import one_line

# Height and width of the image: no multiples of strides, and enough for the last map of SSD.
PROOF_SIZE = (330, 310)
# Where a model keeps the detector that it wraps, or both that it builds of the same config.
WRAPPED = ("detector", "student", "teacher")


def build_model(cfg: Mapping[str, Any]) -> nn.Module:
    """Build the model of a config, with random weights but for those of its backbone, if given.

    Args:
        cfg: The config.

    Raises:
        SwapError: If it cannot be built.
        CheckpointError: If weights do not arrive.
    """
    model = build(cfg["model"], cfg["default_scope"], "model")
    for part in (model, *(getattr(model, name, None) for name in WRAPPED)):
        backbone = getattr(part, "backbone", None)
        if backbone is not None and backbone.init_cfg and _names_weights(backbone.init_cfg):
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


def video_sample(image: Tensor) -> dict[str, Any]:
    """An image as mmdet's data sets of videos give it, the first and only one of its video.

    Args:
        image: ``(3, H, W)``, of bytes.
    """
    from mmdet.structures import TrackDataSample

    frames = image_sample("mmdet", image)["data_samples"]
    frames[0].set_metainfo(dict(frame_id=0))
    return dict(inputs=[image[None]], data_samples=[TrackDataSample(video_data_samples=frames)])


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
    # A model of videos is known by what prepares them for it.
    is_video = type(model.data_preprocessor).__name__ == "TrackDataPreprocessor"
    sample = video_sample(image) if is_video else image_sample(scope, image)
    if getattr(model, "with_roi_head", False) and not model.with_rpn:
        # Fast R-CNN is given its regions: the whole image is one.
        whole = torch.tensor([[0.0, 0.0, PROOF_SIZE[1], PROOF_SIZE[0]]])
        sample["data_samples"][0].proposals = InstanceData(bboxes=whole)
    try:
        with torch.no_grad():
            return model.test_step(sample)
    except Exception as error:  # whatever a third party's model raises
        raise SwapError(f"it was built, but its forward pass fails: {one_line(error)}") from error
