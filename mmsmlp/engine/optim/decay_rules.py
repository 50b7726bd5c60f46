"""Rules for weight decay and learning rates that custom keys do not switch off."""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmsmlp.registry import OPTIM_WRAPPER_CONSTRUCTORS

# Of norms, biases and whatever else has one dimension, such as weights of maps in a sum.
NO_DECAY = dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DecayRulesOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, but ``custom_keys`` multiply with rules for norms and biases.

    In mmengine, an entry of ``custom_keys`` replaces the rules for norms, biases and flat
    parameters, so that ``custom_keys={'backbone': dict(lr_mult=0.1)}`` brings weight decay back to
    all of them (open-mmlab/mmengine issue 846); with ``decay_mult=1.0``, as in mmdet's DETR and
    Mask2Former, it is the same.

    Args:
        optim_wrapper_cfg: The optimizer wrapper.
        paramwise_cfg: As of mmengine's constructor.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = "", **kwargs: Any
    ) -> None:
        """Add the parameters of a module to the groups, and apply the rules to a whole model.

        Args:
            params: Groups of the optimizer, extended in place, each of one parameter.
            module: The model, or a module in it.
            prefix: Name of the module, empty for the model.
            kwargs: What mmengine passes on while it descends.
        """
        super().add_params(params, module, prefix, **kwargs)
        settings = self.paramwise_cfg
        keys = settings.get("custom_keys")
        if prefix or not keys:
            return
        by_rules: list[dict] = []
        self.paramwise_cfg = {**settings, "custom_keys": {}}
        super().add_params(by_rules, module)
        self.paramwise_cfg = settings
        rules = {id(group["params"][0]): group for group in by_rules}
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        for group in params:
            (parameter,) = group["params"]
            name = names[id(parameter)]
            # What mmengine looks for keys in.
            if any(key in (name if "." in name else f".{name}") for key in keys):
                for setting, base in (("lr", self.base_lr), ("weight_decay", self.base_wd)):
                    if base and setting in group:
                        group[setting] *= rules[id(parameter)].get(setting, base) / base
