"""The available backbones, and the outputs of a backbone."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.utils import to_2tuple
from torch import nn

from mmsmlp.errors import SwapError, one_line
from mmsmlp.model_zoo import BACKBONES
from mmsmlp.weights import WEIGHTS, weights_for

from .levels import Levels

# Of the image that a backbone is tried on, if it takes any: a multiple of all strides there are.
PROBE_SIZE = 256

# Messages of Python and OpenMMLab's models about a missing package.
MISSING = re.compile(r"No module named '(\w+)|(\w+) is not installed|pip install [\"`']?(\w[\w-]*)")


def named_backbone(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Config of a backbone.

    Args:
        name: A key of ``BACKBONES``.
        options: Arguments to add or replace.

    Raises:
        SwapError: If there is none of this name.
    """
    if name not in BACKBONES:
        close = get_close_matches(name, BACKBONES, n=1, cutoff=0)[0]
        raise SwapError(
            f"there is no backbone {name!r} (nearest: {close}); there are {', '.join(BACKBONES)}"
        )
    return {**BACKBONES[name], **(options or {})}


def published_weights(name: str, backbone: str) -> str:
    """The ``checkpoint`` of published weights in a config.

    Args:
        name: Of the weights, or ``'auto'`` for those of the backbone.
        backbone: A key of ``BACKBONES``.

    Raises:
        SwapError: If there are none of this name, or they are of another backbone.
    """
    weights = weights_for(backbone) if name == "auto" else WEIGHTS.get(name)
    if weights is None or weights.backbone != backbone:
        own = [w.name for w in WEIGHTS.values() if w.backbone == backbone]
        raise SwapError(
            f"there are no weights {name!r} of {backbone}; "
            + (f"there are {', '.join(own)}" if own else f"published are {', '.join(WEIGHTS)}")
        )
    return weights.path


def build(cfg: Mapping[str, Any], scope: str, name: str = "backbone") -> nn.Module:
    """Build a part of a model, or a model, from the registry of a library.

    Args:
        cfg: Its config.
        scope: ``'mmdet'`` or ``'mmseg'``.
        name: Its name in an error.

    Raises:
        SwapError: If it cannot be built.
    """
    # The registry of a library imports its models, and those of another when a type names it.
    init_default_scope(scope)
    models = importlib.import_module(f"{scope}.registry").MODELS
    try:
        return models.build(ConfigDict(cfg))
    except Exception as error:  # any error of a third party's constructor
        if package := missing_package(error):
            raise SwapError(
                f"its {name} needs the package {package}, which is not installed"
            ) from error
        raise SwapError(f"its {name} cannot be built: {one_line(error)}") from error


def stages_of(backbone: Mapping[str, Any], scope: str) -> Levels:
    """All stages of a backbone of this package.

    Args:
        backbone: Its config.
        scope: ``'mmdet'`` or ``'mmseg'``.

    Raises:
        SwapError: If it cannot be built.
    """
    bare = {key: value for key, value in backbone.items() if key not in ("init_cfg", "out_indices")}
    with torch.device("meta"):
        depth = len(build(bare, scope).depths)
        module = build(dict(bare, out_indices=tuple(range(depth))), scope)
    return Levels(tuple(module.channels), tuple(module.strides))


def outputs_of(backbone: Mapping[str, Any], scope: str) -> Levels:
    """The maps that any backbone outputs, found by trying.

    Args:
        backbone: Its config.
        scope: ``'mmdet'`` or ``'mmseg'``.

    Raises:
        SwapError: If it cannot be built or run, or outputs something else than maps.
    """
    try:
        # No memory and no time, but not every backbone can do without numbers.
        maps = _forward(backbone, scope, "meta")
    except Exception:
        maps = _forward(backbone, scope, "cpu")
    if not isinstance(maps, (list, tuple)):
        maps = [maps]
    if not maps or any(getattr(y, "ndim", 0) != 4 for y in maps):
        raise SwapError(f"its backbone, {backbone['type']}, outputs something else than maps")
    height, _ = _probe_size(backbone)
    return Levels(
        tuple(y.shape[1] for y in maps),
        tuple(round(height / y.shape[2]) for y in maps),
    )


def input_channels(backbone: Mapping[str, Any]) -> int:
    """Image channels of a backbone, from its config."""
    found = (backbone.get(key) for key in ("in_channels", "in_chans", "input_channels"))
    return next((number for number in found if isinstance(number, int)), 3)


def _probe_size(backbone: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of an image that a backbone takes; some take only that of ``img_size``."""
    return to_2tuple(backbone.get("img_size", PROBE_SIZE))


def _forward(backbone: Mapping[str, Any], scope: str, device: str) -> Any:
    height, width = _probe_size(backbone)
    with torch.device(device):
        module = build(backbone, scope)
        x = torch.zeros(1, input_channels(backbone), height, width)
    module.eval()  # by itself: several backbones return None here
    try:
        with torch.no_grad():
            return module(x)
    except Exception as error:
        raise SwapError(
            f"its backbone, {backbone['type']}, cannot run on {height} by {width} pixels: "
            f"{one_line(error)}"
        ) from error


def missing_package(error: Exception) -> str | None:
    """The package for want of which something failed, if that was the reason."""
    found = MISSING.search(str(error))
    return found and next(filter(None, found.groups()))
