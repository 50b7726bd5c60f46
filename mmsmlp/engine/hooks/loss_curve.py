"""Draws the training loss over the iterations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmsmlp.registry import HOOKS


@HOOKS.register_module()
class LossCurveHook(Hook):
    """Writes ``loss_curve.png`` into the work directory.

    The curve comes from mmengine's message hub, which checkpoints save and restore: after a
    resumed run it shows the whole training. It is drawn whenever a checkpoint is saved and when
    training ends.

    Args:
        window: Iterations that the smoothed line averages over.
        filename: Name of the picture.
    """

    priority = "VERY_LOW"

    def __init__(self, window: int = 20, filename: str = "loss_curve.png") -> None:
        self.window = window
        self.filename = filename

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Draw what was learnt up to this checkpoint."""
        self._draw(runner)

    def after_train(self, runner: Runner) -> None:
        """Draw the whole training."""
        self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        losses = {
            name.removeprefix("train/"): buffer.data[0]
            for name, buffer in runner.message_hub.log_scalars.items()
            if name.startswith("train/") and "loss" in name
        }
        if not losses:
            return
        # The object interface: pyplot would keep state between figures and pick a backend.
        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.add_subplot()
        for name, values in sorted(losses.items(), key=lambda item: item[0] != "loss"):
            total = name == "loss"
            steps = np.arange(1, len(values) + 1)
            if total:
                axes.plot(steps, values, color="0.8", linewidth=0.8)
            axes.plot(
                *self._smooth(steps, values),
                label="loss (total)" if total else name,
                color="black" if total else None,
                linewidth=2 if total else 1,
            )
        axes.set(xlabel="iteration", ylabel=f"loss (mean over {self.window} iterations)")
        axes.set_ylim(bottom=0)
        axes.set_title(runner.experiment_name, fontsize=9)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(Path(runner.work_dir) / self.filename, dpi=120)

    def _smooth(self, steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        window = min(self.window, len(values))
        return steps[window - 1 :], np.convolve(values, np.full(window, 1 / window), mode="valid")
