"""Weight decay and learning rates by parameter, and layer-wise decay of the latter."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmsmlp.registry import OPTIM_WRAPPER_CONSTRUCTORS

# Of norms, biases and all other one-dimensional parameters, such as weights of maps in a sum.
NO_DECAY = dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ParamwiseOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, but custom keys multiply with the rules for norms, biases and so on.

    There, a custom key such as ``backbone=dict(lr_mult=0.1)`` switches the rules off for all
    parameters with that name: norms and biases of the backbone decay, with any ``norm_decay_mult``
    and ``bias_decay_mult``.

    Args:
        optim_wrapper_cfg: The optimizer wrapper, as mmengine has it.
        paramwise_cfg: As mmengine has it.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = "", **kwargs: Any
    ) -> None:
        """Add the parameters of a module to the groups.

        Args:
            params: Groups of the optimizer, extended in place.
            module: The model, or a module in it.
            prefix: Name of the module, empty for the model.
            kwargs: Arguments that mmengine passes on recursively.
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
        names = {id(parameter): f".{name}" for name, parameter in module.named_parameters()}
        for group in params:
            parameter = id(group["params"][0])
            # mmengine matches a name in the model with a dot before it, others without.
            name = names[parameter].removeprefix("." if names[parameter].count(".") > 1 else "")
            if any(key in name for key in keys):
                for setting, base in (("lr", self.base_lr), ("weight_decay", self.base_wd)):
                    if base and setting in group:
                        group[setting] *= rules[parameter].get(setting, base) / base


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(ParamwiseOptimWrapperConstructor):
    """Lets the layers of a backbone learn the slower the earlier they are.

    A parameter of layer k of n learns at ``layer_decay_rate ** (n - 1 - k)`` times the learning
    rate. Layer 0 is the stem, the last one the output norms and everything outside of the
    backbone: neck and heads learn at the full rate. Source: arXiv 2003.10555 (ELECTRA).

    The model may be a detector, a segmentor, a classifier or anything else with a module named
    ``backbone`` (several are fine) that has ``get_layer_depth(name, prefix)``, as all of this
    package and several of mmpretrain have. Weight decay is off for norms, biases and all other
    parameters of one dimension, unless ``norm_decay_mult``, ``bias_decay_mult`` or
    ``flat_decay_mult`` of ``paramwise_cfg`` is set; custom keys multiply with these. Parameters
    that share all settings share a group of the optimizer.

    Let schedulers end at an ``eta_min_ratio``: an absolute ``eta_min`` is the same for all layers,
    and above the initial rate of the first ones.

    Args:
        optim_wrapper_cfg: The optimizer wrapper; its ``optimizer`` must have ``lr`` and
            ``weight_decay``.
        paramwise_cfg: ``layer_decay_rate`` in (0, 1], and the options of mmengine's default
            constructor; multipliers of the learning rate apply on top.

    Raises:
        ValueError: If ``layer_decay_rate``, ``lr`` or ``weight_decay`` is missing or out of its
            range, or, when called, if the model has no backbone or the backbone has no depths.

    Examples:
        >>> optim_wrapper = dict(
        ...     type="OptimWrapper",
        ...     constructor="mmsmlp.LayerDecayOptimWrapperConstructor",
        ...     optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05),
        ...     paramwise_cfg=dict(layer_decay_rate=0.9),
        ... )
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        self.paramwise_cfg = {**NO_DECAY, **self.paramwise_cfg}
        for name in ("lr", "weight_decay"):
            if self.optimizer_cfg.get(name) is None:
                raise ValueError(f"optimizer must have {name}, got {dict(self.optimizer_cfg)}")
        self.rate = self.paramwise_cfg.get("layer_decay_rate")
        if not isinstance(self.rate, (int, float)) or not 0 < self.rate <= 1:
            raise ValueError(
                f"paramwise_cfg.layer_decay_rate must be a number in (0, 1], got {self.rate!r}"
            )

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = "", **kwargs: Any
    ) -> None:
        """Add the parameters of a module to the groups, and decay those of a complete model.

        Args:
            params: Groups of the optimizer, extended in place.
            module: The model, or a module in it.
            prefix: Name of the module, empty for the model.
            kwargs: Arguments that mmengine passes on recursively.
        """
        super().add_params(params, module, prefix, **kwargs)
        if not prefix:
            params[:] = self._decay(params, module)

    def _decay(self, groups: list[dict], model: nn.Module) -> list[dict]:
        """Groups of one parameter each -> groups with decayed rates, one for each setting."""
        backbones = _backbones(model)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        merged: list[dict] = []
        layers: dict[int, list[dict]] = {}
        for group in groups:
            (parameter,) = group["params"]
            layer, num_layers = _layer_depth(names[id(parameter)], backbones)
            group.setdefault("weight_decay", self.base_wd)
            group["lr"] = group.get("lr", self.base_lr) * self.rate ** (num_layers - 1 - layer)
            layers.setdefault(layer, []).append(group)
            same = (other for other in merged if _settings(other) == _settings(group))
            if (other := next(same, None)) is None:
                merged.append({**group, "params": [parameter]})
            else:
                other["params"].append(parameter)
        _log(layers)
        return merged


def _settings(group: dict) -> dict:
    return {key: value for key, value in group.items() if key != "params"}


def _backbones(model: nn.Module) -> dict[str, nn.Module]:
    """Backbones by the prefix of their parameters' names."""
    backbones = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] != "backbone":
            continue
        if is_model_wrapper(module):
            name, module = f"{name}.module", module.module
        if not hasattr(module, "get_layer_depth"):
            raise ValueError(
                f"layer decay needs a backbone with a method get_layer_depth, got "
                f"{type(module).__name__} as {name}"
            )
        backbones[f"{name}."] = module
    if not backbones:
        raise ValueError(
            f"layer decay needs a model with a module named backbone, got {type(model).__name__}"
        )
    return backbones


def _layer_depth(name: str, backbones: dict[str, nn.Module]) -> tuple[int, int]:
    """Layer of a parameter and their number, in the backbone that it belongs to."""
    prefixes = [prefix for prefix in backbones if name.startswith(prefix)] or list(backbones)
    return backbones[prefixes[0]].get_layer_depth(name, prefixes[0])


def _log(layers: dict[int, list[dict]]) -> None:
    lines = ["layer-wise learning rates:", "layer        lr  tensors  without weight decay"]
    for layer, groups in sorted(layers.items()):
        highest = max(group["lr"] for group in groups)
        undecayed = sum(group["weight_decay"] == 0 for group in groups)
        lines.append(f"{layer:>5}  {highest:.2e}  {len(groups):>7}  {undecayed:>20}")
    print_log("\n".join(lines), logger="current")
