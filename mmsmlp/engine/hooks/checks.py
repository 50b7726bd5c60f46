"""Checks that end a run in one line: weights that do not fit, a loss that is not a number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.runner import BaseLoop, Runner
from torch import Tensor, nn

from mmsmlp.checkpoints import (
    Pretrained,
    check_loading,
    load_weights,
    read_checkpoint,
    split_pretrained,
    weights_of,
)
from mmsmlp.errors import CheckpointError, RunError
from mmsmlp.registry import HOOKS

ADVICE = "lower the learning rate, or clip gradients by optim_wrapper.clip_grad"


# The second name is that of former releases, in the configs that they dumped.
@HOOKS.register_module(name=["CheckWeightsHook", "MatchedWeightsHook"])
class CheckWeightsHook(Hook):
    """Checks the weights that a run loads; mmengine ignores mismatches.

    That goes for ``load_from``, for a resumption, and for weights that the ``init_cfg`` of a model
    with a backbone names: if they are not of that model, they are loaded into its backbone.

    Args:
        needs: The required part of a checkpoint: the ``'whole'`` model, its ``'backbone'``, or
            ``'some'`` of it. A resumed run needs the complete model.
    """

    def __init__(self, needs: str = "some") -> None:
        self.needs = needs

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the weights while they are loaded."""
        source = runner._load_from
        needs = "whole" if runner._resume else self.needs

        def report(line: str, level: int) -> None:
            runner.logger.log(level, f"{line}; from {source}")

        check_loading(runner.model, checkpoint, needs, source, report)
        if isinstance(runner._test_loop, BaseLoop):
            meta = (checkpoint.get("meta") or {}).get("dataset_meta") or {}
            data_meta = getattr(runner.test_dataloader.dataset, "metainfo", {})
            if line := differing_classes(meta.get("classes"), data_meta.get("classes")):
                raise CheckpointError(f"{source!r}: {line}")

    def before_run(self, runner: Runner) -> None:
        """Load pretrained weights of complete models, or raise an error."""
        for module in runner.model.modules():
            if not (isinstance(module, BaseModule) and hasattr(module, "backbone")):
                continue
            others, pretrained = split_pretrained(module.init_cfg)
            if pretrained:
                module.init_cfg = others
                module.init_weights = partial(_init_weights, module, pretrained)


def differing_classes(trained: Sequence[str] | None, tested: Sequence[str] | None) -> str | None:
    """Describe classes with the same names but other labels in a checkpoint and in data.

    Args:
        trained: Classes of the checkpoint, if it names them.
        tested: Those of the data, if they name them.
    """
    if not trained or not tested or isinstance(trained, str) or isinstance(tested, str):
        return None
    places = {str(name).lower(): place for place, name in enumerate(trained)}
    names = (str(name).lower() for name in tested)
    if all(places.get(name, place) == place for place, name in enumerate(names)):
        return None
    return (
        f"the checkpoint has the classes {', '.join(map(str, trained[:10]))}, and the data set "
        f"{', '.join(map(str, tested[:10]))}: labels would mean other classes"
    )


def _init_weights(module: nn.Module, pretrained: list[dict[str, Any]]) -> None:
    """Initialise a model, and load pretrained weights afterwards, as mmengine does."""
    del module.init_weights  # that is this function, and hid the method of its class
    module.init_weights()
    for cfg in pretrained:
        source, prefix = cfg["checkpoint"], cfg.get("prefix")
        weights, _ = weights_of(read_checkpoint(source, cfg.get("map_location", "cpu")))
        start = f"{prefix.rstrip('.')}." if prefix else ""
        weights = {
            name.removeprefix(start): value
            for name, value in weights.items()
            if name.startswith(start)
        }
        try:
            line, level = load_weights(module, weights, source, "some")
        except CheckpointError:
            Pretrained(source, prefix)(module.backbone)
        else:
            print_log(f"{type(module).__name__}: {line}; from {source}", "current", level)


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Ends a run in the iteration whose loss is NaN or infinite, before that is saved.

    mmdet's ``CheckInvalidLossHook`` looks at every 50th iteration, between which checkpoints are
    saved. This one costs nothing: mmengine logs each loss, and waits for it. Weights that are NaN
    before any loss is, are not saved either.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at the loss."""
        loss = torch.as_tensor((outputs or {}).get("loss", 0)).detach()
        if not torch.isfinite(loss):
            raise RunError(f"the loss of iteration {runner.iter + 1} is {loss.item()}: {ADVICE}")

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Look at the weights."""
        for name, value in checkpoint["state_dict"].items():
            # Sharded weights are no plain tensors, and no rank has all of them.
            if type(value) is not Tensor or not value.is_floating_point():
                continue
            if not torch.isfinite(value).all():
                raise RunError(
                    f"{name} is NaN or infinite at iteration {runner.iter + 1}: {ADVICE}"
                )
