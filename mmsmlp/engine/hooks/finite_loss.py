"""Ends a run whose loss is no number, while there is a checkpoint of better times."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmsmlp.errors import RunError
from mmsmlp.registry import HOOKS

ADVICE = "lower the learning rate, or clip gradients by optim_wrapper.clip_grad"


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Ends a run in the iteration whose loss is NaN or infinite.

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
            # Sharded weights are no plain tensors, and no rank has the whole of them.
            if type(value) is not Tensor or not value.is_floating_point():
                continue
            if not torch.isfinite(value).all():
                raise RunError(
                    f"{name} is NaN or infinite at iteration {runner.iter + 1}: {ADVICE}"
                )
