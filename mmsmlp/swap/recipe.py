"""What an MLP backbone wants of the optimizer, and of the images."""

from __future__ import annotations

from typing import Any

from mmsmlp.engine.optim import NO_DECAY

ADAMW = dict(type="AdamW", lr=1e-4, weight_decay=0.05)
# Mean and deviation of ImageNet's RGB, which the backbones are trained with.
RGB = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)


def adapt_optimizer(cfg: dict[str, Any]) -> None:
    """Give a config AdamW, without decay of norms, biases and other flat parameters.

    One that has Adam or AdamW keeps it with all its settings, because heads such as those of DETR
    depend on them. Layer-wise decay made for another backbone becomes that of this package.

    Args:
        cfg: The config, changed in place; one without ``optim_wrapper`` stays as it is.
    """
    wrapper = cfg.get("optim_wrapper")
    if not wrapper:
        return
    optimizer = wrapper["optimizer"]
    if not str(optimizer["type"]).startswith("Adam"):
        wrapper["optimizer"] = dict(ADAMW)
        # Where a schedule ends counts in the units of where it starts.
        for scheduler in _schedulers(cfg):
            if scheduler.get("eta_min"):
                scheduler["eta_min"] = scheduler["eta_min"] * ADAMW["lr"] / optimizer["lr"]
    settings = wrapper.get("paramwise_cfg") or {}
    if "Decay" in wrapper.get("constructor", ""):
        rate = settings.get("decay_rate", settings.get("layer_decay_rate", 0.9))
        wrapper["constructor"] = "mmsmlp.LayerDecayOptimWrapperConstructor"
        wrapper["paramwise_cfg"] = dict(layer_decay_rate=rate)
    else:
        wrapper["paramwise_cfg"] = {**settings, **NO_DECAY}
        if settings.get("custom_keys"):  # with mmengine's own, they bring decay back
            wrapper.setdefault("constructor", "mmsmlp.ParamwiseOptimWrapperConstructor")


def _schedulers(cfg: dict[str, Any]) -> list[dict[str, Any]]:
    schedulers = cfg.get("param_scheduler") or []
    return schedulers if isinstance(schedulers, list) else [schedulers]


def adapt_preprocessing(model: dict[str, Any]) -> None:
    """Give a model images as the backbone knows them.

    Args:
        model: Its config, changed in place; images that are not normalised, or of other than
            three channels, stay as they are.
    """
    preprocessor = model.get("data_preprocessor") or {}
    # One of several branches, for labelled images and others, wraps the one that does the work.
    preprocessor = preprocessor.get("data_preprocessor", preprocessor)
    if len(preprocessor.get("mean") or ()) == 3:
        preprocessor.update(
            (key, value) for key, value in RGB.items() if list_of(preprocessor.get(key)) != value
        )


def list_of(value: Any) -> Any:
    """Tuples as lists, to compare them."""
    return list(value) if isinstance(value, tuple) else value
