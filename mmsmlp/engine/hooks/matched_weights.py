"""Says what of a checkpoint is loaded, and raises where that cannot be what was meant."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmsmlp.checkpoints import check_weights
from mmsmlp.errors import CheckpointError
from mmsmlp.registry import HOOKS


@HOOKS.register_module()
class MatchedWeightsHook(Hook):
    """Checks what ``load_from`` or a resumption loads; mmengine loads what fits and goes on.

    Args:
        needs: What has to be there: the ``'whole'`` model, its ``'backbone'``, or ``'some'`` of
            it. A run that is resumed needs the whole.
    """

    def __init__(self, needs: str = "some") -> None:
        self.needs = needs

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check before anything is loaded."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        needs = "whole" if runner._resume else self.needs
        try:
            line, level = check_weights(model, checkpoint, needs)
        except CheckpointError as error:
            raise CheckpointError(f"cannot load {runner._load_from!r}: {error}") from error
        runner.logger.log(level, f"{line}; from {runner._load_from}")
