"""Weight decay that a multiplier of the learning rate leaves as it is."""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmsmlp.registry import OPTIM_WRAPPER_CONSTRUCTORS

# Of norms, biases and whatever else has one dimension, such as weights of maps in a sum.
NO_DECAY = dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0)
NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DecayRulesOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, whose ``custom_keys`` leave the decay of norms and biases alone.

    In mmengine, an entry of ``custom_keys`` replaces the rules for norms, biases and flat
    parameters, so that ``custom_keys={'backbone': dict(lr_mult=0.1)}`` brings weight decay back to
    all of them (open-mmlab/mmengine issue 846). Here it does only if it has ``decay_mult``.

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
        keys = self.paramwise_cfg.get("custom_keys") or {}
        if prefix or not keys or self.base_wd is None:
            return
        order = sorted(sorted(keys), key=len, reverse=True)  # as mmengine looks them up
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        for group in params:
            (parameter,) = group["params"]
            name = names[id(parameter)]
            key = next((key for key in order if key in f".{name}"), None)
            rule = self._rule(module, name, parameter)
            if key is not None and "decay_mult" not in keys[key] and rule is not None:
                group["weight_decay"] = self.base_wd * rule

    def _rule(self, model: nn.Module, name: str, parameter: nn.Parameter) -> float | None:
        owner, _, own = name.rpartition(".")
        if isinstance(model.get_submodule(owner), NORMS):
            return self.paramwise_cfg.get("norm_decay_mult")
        if own == "bias":
            return self.paramwise_cfg.get("bias_decay_mult")
        return self.paramwise_cfg.get("flat_decay_mult") if parameter.ndim == 1 else None
