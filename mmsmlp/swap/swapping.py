"""A config with another backbone."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mmsmlp.errors import SwapError, one_line, origin
from mmsmlp.model_zoo import dicts_in

from .backbones import input_channels, outputs_of, stages_of
from .levels import choose, undilated
from .readers import find_channel_refs, host_of, rewrite, used_positions
from .recipe import adapt_optimizer, adapt_preprocessing

SCOPES = ("mmdet", "mmseg")


def swap_backbone(
    cfg: Mapping[str, Any],
    backbone: Mapping[str, Any],
    checkpoint: str | None = None,
    keep_optimizer: bool = False,
) -> dict[str, Any]:
    """Replace a config's backbone by one of this package.

    Everything else stays, except settings that depend on the backbone: channels and indices of its
    maps, its weights, the normalisation of images, and the optimizer.

    Args:
        cfg: A config of mmdet or mmseg, as a plain dict; it is not changed.
        backbone: Config of the new backbone; its ``out_indices`` are chosen here.
        checkpoint: Path or URL of weights of the backbone.
        keep_optimizer: Whether the optimizer stays.

    Returns:
        The new config.

    Raises:
        SwapError: If the model cannot take the backbone.
    """
    scope = cfg.get("default_scope")
    if scope not in SCOPES:
        raise SwapError(f"default_scope must be one of {list(SCOPES)}, got {scope!r}")
    if not isinstance(cfg.get("model"), dict):
        raise SwapError("the config has no model")
    cfg = deepcopy(dict(cfg))
    try:
        _swap(cfg, backbone, checkpoint, keep_optimizer)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # Configs have no schema; a library may still reject the result.
        raise SwapError(
            f"a setting is missing or has an unusual form: {one_line(error)}, at {origin(error)}"
        ) from error
    return cfg


def _swap(
    cfg: dict[str, Any], backbone: Mapping[str, Any], checkpoint: str | None, keep_optimizer: bool
) -> None:
    scope = cfg["default_scope"]
    host = host_of(cfg["model"])
    old = outputs_of(host["backbone"], scope)
    found = find_channel_refs(host, old.channels)
    used = used_positions(found)
    strides = undilated(old.strides)
    choice = choose(stages_of(backbone, scope), [strides[i] for i in used])
    rewrite(found, used, choice.channels)
    channels = input_channels(host["backbone"])
    host["backbone"] = dict(backbone, out_indices=choice.out_indices)
    if channels != 3:
        host["backbone"].setdefault("in_channels", channels)
    if checkpoint:
        host["backbone"]["init_cfg"] = dict(
            type="Pretrained", checkpoint=checkpoint, prefix="backbone."
        )
    if choice.adapter:
        neck = host.get("neck") or []
        host["neck"] = [choice.adapter, *(neck if isinstance(neck, list) else [neck])]
        if len(host["neck"]) == 1:
            host["neck"] = choice.adapter
    _forget_weights(cfg, host)
    loads_rgb = any(part.get("imdecode_backend") == "tifffile" for part in dicts_in(cfg))
    for part in (cfg["model"], host):
        adapt_preprocessing(part, loads_rgb)
    if not keep_optimizer:
        adapt_optimizer(cfg)


def _forget_weights(cfg: dict[str, Any], host: dict[str, Any]) -> None:
    """Remove weights that are not of the new backbone."""
    for part, key in ((cfg, "load_from"), (cfg["model"], "pretrained"), (host, "pretrained")):
        if part.get(key):
            part[key] = None
    for part in (cfg["model"], host):
        given = part.get("init_cfg")
        entries = given if isinstance(given, (list, tuple)) else [given or {}]
        if any(str(entry.get("type")).endswith("Pretrained") for entry in entries):
            part["init_cfg"] = [
                e for e in entries if not str(e["type"]).endswith("Pretrained")
            ] or None
