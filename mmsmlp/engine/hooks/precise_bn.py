"""Re-estimates the statistics of batch norms on the images of the task at hand."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from mmsmlp.registry import HOOKS

from .calibration import calibrate_norms, image_batches


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Re-estimates the backbone's batch norms before training, and again at an interval.

    Before training, pretrained weights are loaded and their statistics still belong to the images
    of the pretraining: fine-tuning then starts from a network that fits the resolution of its
    task. A resumed run has learnt its statistics and skips this. At an interval, evaluation and
    checkpoints get statistics of the weights of that moment and not a running average over those
    that led there. See `calibrate_norms`; frozen norms are left
    alone.

    Args:
        num_images: Images of the training set to estimate from; all if it has no more.
        interval: Epochs between estimations, or iterations if the training loop counts those;
            before training only if not given.
    """

    # Checkpoints and averaged weights are to have the new statistics.
    priority = "ABOVE_NORMAL"

    def __init__(self, num_images: int = 1000, interval: int | None = None) -> None:
        if num_images < 1:
            raise ValueError(f"num_images must be at least 1, got {num_images}")
        if interval is not None and interval < 1:
            raise ValueError(f"interval must be at least 1 or None, got {interval}")
        self.num_images = num_images
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Fit the statistics to the task, unless the run is a resumed one."""
        if runner.iter == 0:
            self._calibrate(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Re-estimate after every ``interval`` epochs."""
        by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        if self.interval and not by_iter and self.every_n_epochs(runner, self.interval):
            self._calibrate(runner)

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Re-estimate after every ``interval`` iterations."""
        by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
        if self.interval and by_iter and self.every_n_train_iters(runner, self.interval):
            self._calibrate(runner)

    def _calibrate(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        batches = image_batches(model, runner.train_dataloader, self.num_images)
        norms = calibrate_norms(model.backbone, batches)
        runner.logger.info(f"re-estimated the statistics of {len(norms)} batch norms")
