"""Settings of the optimizer and of images for an MLP backbone."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from mmengine.registry import OPTIMIZERS

from mmsmlp.engine.optim import NO_DECAY

ADAMW = dict(type="AdamW", lr=1e-4, weight_decay=0.05)
# Settings of schedules that are learning rates, not parts of the optimizer's.
ABSOLUTE = ("eta_min", "eta_max", "min_value")
# Mean and deviation of ImageNet's RGB, which the backbones are trained with.
RGB = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)


def adapt_optimizer(cfg: dict[str, Any]) -> None:
    """Give a config AdamW, without decay of norms, biases and other flat parameters.

    One that has Adam or AdamW keeps it with all its settings, because heads such as those of DETR
    depend on them; else the rates that schedules name are scaled with that of the optimizer.
    Layer-wise decay made for another backbone becomes that of this package.

    Args:
        cfg: The config, changed in place; one without ``optim_wrapper`` is not changed.
    """
    wrapper = cfg.get("optim_wrapper")
    if not wrapper:
        return
    optimizer = wrapper["optimizer"]
    if not is_adam(optimizer["type"]):
        wrapper["optimizer"] = dict(ADAMW)
        for scheduler in _schedulers(cfg):
            _scale(scheduler, ADAMW["lr"] / optimizer["lr"])
    settings = wrapper.get("paramwise_cfg") or {}
    if "Decay" in str(wrapper.get("constructor", "")):
        rate = settings.get("decay_rate", settings.get("layer_decay_rate", 0.9))
        wrapper["constructor"] = "mmsmlp.LayerDecayOptimWrapperConstructor"
        wrapper["paramwise_cfg"] = dict(layer_decay_rate=rate)
        return
    wrapper["paramwise_cfg"] = {**settings, **NO_DECAY}
    if settings.get("custom_keys"):  # with mmengine's own, they bring decay back
        wrapper.setdefault("constructor", "mmsmlp.ParamwiseOptimWrapperConstructor")


def is_adam(kind: str | type) -> bool:
    """Whether an optimizer is Adam or of its kind, by its class or, if unknown, by its name."""
    known = kind
    if isinstance(kind, str):
        with suppress(RuntimeError):  # raised by some names that the registry does not know
            known = OPTIMIZERS.get(kind)
    names = [base.__name__ for base in known.__mro__] if isinstance(known, type) else [str(kind)]
    return any("adam" in name.rpartition(".")[2].lower() for name in names)


def _schedulers(cfg: dict[str, Any]) -> list[dict[str, Any]]:
    schedulers = cfg.get("param_scheduler") or []
    return schedulers if isinstance(schedulers, list) else [schedulers]


def _scale(scheduler: dict[str, Any], factor: float) -> None:
    """Multiply the learning rates that a schedule names in absolute terms."""
    kind = str(scheduler.get("type"))
    if "Momentum" in kind or scheduler.get("param_name", "lr") != "lr":
        return
    for key in ABSOLUTE:
        value = scheduler.get(key)
        if isinstance(value, (list, tuple)):
            scheduler[key] = [number * factor for number in value]
        elif value:
            scheduler[key] = value * factor


def adapt_preprocessing(model: dict[str, Any], loads_rgb: bool = False) -> None:
    """Give a model images as the backbone knows them.

    Args:
        model: Its config, changed in place. Images without normalisation, without three channels,
            or with another range than bytes are not changed.
        loads_rgb: Whether the pipeline loads images as RGB, not as BGR.
    """
    preprocessor = model.get("data_preprocessor") or {}
    # One of several branches, for labelled images and others, wraps the one that does the work.
    preprocessor = preprocessor.get("data_preprocessor", preprocessor)
    mean = preprocessor.get("mean") or ()
    if len(mean) != 3 or not (1 < max(mean) <= 255 or not any(mean)):
        return
    values = dict(RGB, bgr_to_rgb=not loads_rgb)
    if preprocessor.get("rgb_to_bgr"):
        values["rgb_to_bgr"] = False
    preprocessor.update(
        (key, value) for key, value in values.items() if list_of(preprocessor.get(key)) != value
    )


def list_of(value: Any) -> Any:
    """Tuples as lists, to compare them."""
    return list(value) if isinstance(value, tuple) else value
