"""What a file tells of the model that is in it."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from torch import nn

from mmsmlp import __version__

from .parts import Nest, Part


def metadata_of(
    part: Part, nest: Nest, preprocessor: nn.Module | None, meta: dict, cfg: Config, precision: str
) -> dict[str, Any]:
    """All that is needed to use an export, as JSON holds it.

    Args:
        part: What is exported.
        nest: The nest of its results.
        preprocessor: What prepares images for the model.
        meta: Of its data set: classes and palette, where known.
        cfg: The config.
        precision: In which to compute.
    """
    # In the order of mmdet, of mmseg's own release, and of mmpretrain.
    flags = ("_channel_conversion", "channel_conversion", "to_rgb")
    converts = any(getattr(preprocessor, name, False) for name in flags)
    # In pipelines of OpenMMLab, images are BGR.
    order = "rgb" if converts else "bgr"
    mean, std = (_channels(getattr(preprocessor, name, None)) for name in ("mean", "std"))
    return dict(
        mmsmlp=__version__,
        kind=part.kind,
        names=list(part.names),
        nest=nest,
        classes=list(meta.get("classes") or []),
        palette=[list(colour) for colour in meta.get("palette") or []],
        mean=mean or [0.0, 0.0, 0.0],
        std=std or [1.0, 1.0, 1.0],
        channel_order=order,
        precision=precision,
        pipeline=_plain(test_pipeline(cfg)),
        config=cfg.pretty_text,
    )


def _channels(values: Any) -> list[float]:
    return [] if values is None else [float(value) for value in values.flatten()]


def test_pipeline(cfg: Config) -> list[dict[str, Any]]:
    """The steps that make an image of the test set ready; none if the config has no test set."""
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    while "pipeline" not in dataset and "dataset" in dataset:
        dataset = dataset["dataset"]
    return list(dataset.get("pipeline") or [])


def _plain(value: Any) -> Any:
    """A part of a config as JSON holds it, with types by their names."""
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(child) for child in value]
    return value.__name__ if isinstance(value, type) else value
