"""Mixed precision, of the kind that the device of a run has."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper

AMP = ("AmpOptimWrapper", AmpOptimWrapper)


def fit_precision(cfg: Config, amp: bool = False) -> None:
    """Train in mixed precision if the user or the config asks for it: on a CPU, in bfloat16.

    Args:
        cfg: The config, changed in place.
        amp: The user's choice.
    """
    wrapper = cfg.get("optim_wrapper", {})
    if get_device() != "cpu":
        if amp:
            wrapper.type = "AmpOptimWrapper"
            wrapper.setdefault("loss_scale", "dynamic")
    elif amp or wrapper.get("type") in AMP:
        wrapper.type = "mmsmlp.BFloat16OptimWrapper"
        for setting in ("loss_scale", "dtype", "use_fsdp"):
            wrapper.pop(setting, None)
