"""Metadata of an exported file: its model and config."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from torch import nn

from mmsmlp import __version__
from mmsmlp.engine.runner import find_test_pipeline
from mmsmlp.errors import ExportError, UsageError
from mmsmlp.model_zoo import dicts_in

from .parts import Nest, Part

# The libraries whose classes a file may name: anything else could be code of whoever made the file.
SCOPES = ("mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg", "mmsmlp")


def metadata_of(
    part: Part, nest: Nest, preprocessor: nn.Module | None, meta: dict, cfg: Config, precision: str
) -> dict[str, Any]:
    """All that is needed to use an export, as JSON holds it.

    Args:
        part: The exported part.
        nest: The nest of its results.
        preprocessor: The preprocessor of the model.
        meta: Of its data set: classes and palette, where known.
        cfg: The config.
        precision: In which to compute.
    """
    # In the order of mmdet, of mmseg's own release, and of mmpretrain.
    flags = ("_channel_conversion", "channel_conversion", "to_rgb")
    converts = any(getattr(preprocessor, name, False) for name in flags)
    mean, std = (_channels(getattr(preprocessor, name, None)) for name in ("mean", "std"))
    return dict(
        mmsmlp=__version__,
        kind=part.kind,
        names=list(part.names),
        nest=nest,
        classes=list(meta.get("classes") or []),
        palette=[list(colour) for colour in meta.get("palette") or []],
        mean=mean or [0.0] * part.channels,
        std=std or [1.0] * part.channels,
        # In pipelines of OpenMMLab, images are BGR unless their loader differs.
        channel_order="rgb" if converts else "bgr",
        precision=precision,
        config=repr(_essence(cfg)),
    )


def _channels(values: Any) -> list[float]:
    return [] if values is None else [float(value) for value in values.flatten()]


def _essence(cfg: Config) -> dict[str, Any]:
    """The settings that prediction takes: model, test pipeline and visualizer."""
    kept = ("default_scope", "model", "data_preprocessor", "visualizer")
    essence = {name: _plain(cfg[name]) for name in kept if cfg.get(name) is not None}
    try:
        dataset = dict(pipeline=_plain(find_test_pipeline(cfg)))
    except UsageError:  # the file can be used from other programs
        return essence
    return dict(essence, test_dataloader=dict(dataset=dataset))


def _plain(value: Any) -> Any:
    """A part of a config as literals, with classes by the names that registries know."""
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value)) if type(value) is tuple else [*map(_plain, value)]
    if isinstance(value, type):
        library = value.__module__.split(".")[0]
        return f"{library}.{value.__name__}" if library in SCOPES else value.__name__
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ExportError(f"the config holds {value!r}, which a file cannot: write it as a literal")


def config_of(metadata: Mapping[str, Any]) -> Config:
    """The config in a file.

    Args:
        metadata: Of the file.

    Raises:
        ExportError: If there is none that can be used, or it names a class of another library.
    """
    try:
        content = ast.literal_eval(metadata["config"])
        scope, _ = content["default_scope"], content["model"]["type"]
    except (KeyError, SyntaxError, TypeError, ValueError) as error:
        raise ExportError(
            "the file holds no config, or that of an earlier version: name the config before it"
        ) from error
    for part in dicts_in([content, dict(type=f"{scope}.x")]):
        kind = part.get("type", "")
        library = str(kind).rpartition(".")[0]
        if library not in ("", *SCOPES):
            raise ExportError(
                f"the file needs {kind!r}, which is custom code: put the config before it"
            )
    return Config(content)
