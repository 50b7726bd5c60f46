"""Backbones to draw, as a config describes them, with the weights of a checkpoint."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmsmlp.checkpoints import Pretrained
from mmsmlp.errors import PictureError

# ImageNet's mean and standard deviation, by channel.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def build_backbone(cfg: Config, checkpoint: str | None = None) -> nn.Module:
    """The backbone of a config's model, ready for inference.

    Args:
        cfg: A config of mmdet, mmseg or mmpretrain.
        checkpoint: Weights of the backbone, or of any model that has it; without it the weights are
            random, even if the config has weights.

    Raises:
        PictureError: If the model has no backbone.
        CheckpointError: If the weights do not arrive.
    """
    backbone = _part(cfg, "backbone")
    if backbone is None:
        raise PictureError(f"{cfg.filename}: its model has no `backbone`")
    return load_weights(_build(cfg, backbone), checkpoint)


def load_weights(backbone: nn.Module, checkpoint: str | None = None) -> nn.Module:
    """Give a backbone the weights of a checkpoint, or random ones, and set it to inference."""
    if checkpoint is None:
        backbone.init_cfg = _without_pretrained(getattr(backbone, "init_cfg", None))
        with _quiet():  # mmengine logs a line for each parameter
            backbone.init_weights()
    else:
        Pretrained(checkpoint)(backbone)
    backbone.eval()  # by itself: several backbones return None here
    return backbone


def input_of(cfg: Config, path: str) -> tuple[Tensor, np.ndarray]:
    """An image as the backbone of a config gets it in a test, but without padding.

    Args:
        cfg: A config of mmdet, mmseg or mmpretrain.
        path: Of the image.

    Returns:
        The input, ``(1, 3, H, W)``, and the same as a picture, ``(H, W, 3)``, RGB.

    Raises:
        PictureError: If the config has no image loading.
    """
    init_default_scope(cfg.default_scope)
    pipeline = cfg.get("test_dataloader", {}).get("dataset", {}).get("pipeline")
    preprocessor = _part(cfg, "data_preprocessor") or cfg.get("data_preprocessor")
    if pipeline is None or preprocessor is None:
        raise PictureError(f"{cfg.filename}: it has no pipeline of a test and data_preprocessor")
    steps = [step for step in pipeline if not _reads_annotations(step["type"])]
    sample = Compose(steps)(dict(img_path=path, img_id=0))
    normalise = {
        key: value
        for key, value in preprocessor.items()
        if not key.startswith("pad_") and key != "batch_augments"
    }
    # As the file was read, with blue first.
    picture = sample["inputs"].flip(0).permute(1, 2, 0).clamp(0, 255).byte().numpy()
    x = _build(cfg, normalise)(pseudo_collate([sample]), False)["inputs"]
    return (torch.stack(x) if isinstance(x, list) else x), picture


def images_as_input(paths: Sequence[str], size: tuple[int, int]) -> list[Tensor]:
    """Images of one size as networks of ImageNet get them, each ``(1, 3, H, W)``.

    Args:
        paths: Of the images.
        size: Height and width that they are resized to.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    images = []
    for path in paths:
        image = torch.from_numpy(mmcv.imread(path, channel_order="rgb").copy()).permute(2, 0, 1)
        x = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True)
        images.append((x - mean) / std)
    return images


def _part(cfg: Config, name: str) -> Mapping[str, Any] | None:
    """A part of the model, or of the detector that it wraps."""
    return cfg.model.get(name) or cfg.model.get("detector", {}).get(name)


def _reads_annotations(step: str) -> bool:
    return step.rpartition(".")[2].startswith(("LoadAnnotations", "LoadPanoptic"))


def _build(cfg: Config, part: Mapping[str, Any]) -> nn.Module:
    scope = cfg.default_scope
    init_default_scope(scope)
    return importlib.import_module(f"{scope}.registry").MODELS.build(ConfigDict(part))


def _without_pretrained(init_cfg: Any) -> list[dict] | None:
    configs = [init_cfg] if isinstance(init_cfg, Mapping) else list(init_cfg or [])
    # None if nothing is left: Swin of mmdet takes an empty list for a wrong one.
    return [cfg for cfg in configs if cfg["type"] not in ("Pretrained", Pretrained)] or None


@contextmanager
def _quiet() -> Iterator[None]:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
