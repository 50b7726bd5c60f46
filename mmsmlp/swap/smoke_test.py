"""A smoke test of a model: it is built, and predicts on an image."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.structures import InstanceData
from torch import nn

from mmsmlp.apis.inference import Predictor
from mmsmlp.checkpoints import split_pretrained
from mmsmlp.errors import SwapError, one_line

from .backbones import build

# Height and width of the image: no multiples of strides, and enough for the last map of SSD.
SIZE = (330, 310)


def build_model(cfg: Mapping[str, Any]) -> nn.Module:
    """Build the model of a config, with random weights, except those of its backbone, if given.

    Args:
        cfg: The config.

    Raises:
        SwapError: If it cannot be built.
        CheckpointError: If weights do not arrive.
    """
    model = build(cfg["model"], cfg["default_scope"], "model")
    for name, part in model.named_modules():
        # Of a detector that is wrapped, or of the teacher and the student, too.
        is_backbone = name.rpartition(".")[2] == "backbone"
        if is_backbone and split_pretrained(getattr(part, "init_cfg", None))[1]:
            part.init_weights()
    return model


def predict_noise(model: nn.Module, cfg: Config) -> list[Any]:
    """Let a model predict something of an image of noise, as the config's own pipeline loads it.

    Args:
        model: The model.
        cfg: Its config.

    Returns:
        The predictions, a data sample.

    Raises:
        SwapError: If it fails.
    """
    model.to(get_device()).eval()
    sample = _pipeline_sample(model, cfg) or _plain_sample(model, cfg)
    if getattr(model, "with_roi_head", False) and not model.with_rpn:
        # Fast R-CNN needs regions: the complete image is one.
        whole = torch.tensor([[0.0, 0.0, SIZE[1], SIZE[0]]])
        sample["data_samples"][0].proposals = InstanceData(bboxes=whole)
    try:
        with torch.no_grad():
            return model.test_step(sample)
    except Exception as error:  # any error of a third party's model
        raise SwapError(f"it was built, but its forward pass fails: {one_line(error)}") from error


def _channels(model: nn.Module) -> int:
    convolutions = (part.in_channels for part in model.modules() if isinstance(part, nn.Conv2d))
    return next(convolutions, 3)


def _pipeline_sample(model: nn.Module, cfg: Config) -> dict[str, Any] | None:
    """A noise image through the test pipeline; None if it needs more than an image.

    It has as many channels as the model takes; a pipeline that loads others shows in the forward
    pass.
    """
    channels = _channels(model)
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, channels), dtype=np.uint8)
    with TemporaryDirectory() as folder:
        path = Path(folder, "noise.png" if channels in (1, 3, 4) else "noise.tif")
        try:
            predictor = Predictor(model, cfg, SIZE[::-1])
            if predictor.reads_tiff or path.suffix == ".tif":
                path = path.with_suffix(".tif")
                importlib.import_module("tifffile").imwrite(path, noise, photometric="minisblack")
            else:
                cv2.imwrite(str(path), noise)
            return pseudo_collate([predictor.prepare(path).data])
        except Exception:  # of a pipeline of videos, of texts, of files of a special kind
            return None


def _plain_sample(model: nn.Module, cfg: Config) -> dict[str, Any]:
    """An image of noise as a data set of the library gives it, without annotations."""
    scope = cfg.default_scope
    # A model of videos is recognised by its preprocessor.
    is_video = type(model.data_preprocessor).__name__ == "TrackDataPreprocessor"
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (_channels(model), *SIZE), generator=generator).byte()
    structures = importlib.import_module(f"{scope}.structures")
    sample = structures.DetDataSample() if scope == "mmdet" else structures.SegDataSample()
    sample.set_metainfo(dict(img_shape=SIZE, ori_shape=SIZE, scale_factor=(1.0, 1.0), img_id=0))
    if not is_video:
        return dict(inputs=[image], data_samples=[sample])
    sample.set_metainfo(dict(frame_id=0))
    video = structures.TrackDataSample(video_data_samples=[sample])
    return dict(inputs=[image[None]], data_samples=[video])
