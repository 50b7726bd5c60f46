"""Statistics of batch norms, re-estimated on the images of the task.

The running statistics of a checkpoint belong to the images that it was trained on. At another
resolution, or in another domain, they are the first cause of errors.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmsmlp.registry import HOOKS

from .data_error import name_broken_images


def calibratable_norms(network: nn.Module) -> dict[str, _BatchNorm]:
    """Batch norms (synchronised ones as well) with statistics that may change, by name.

    Norms with frozen parameters are excluded. Norms that are only in evaluation mode in training
    (``norm_eval``) are included.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and module.running_mean is not None
        and all(parameter.requires_grad for parameter in module.parameters())
    }


@torch.no_grad()
def calibrate_norms(
    network: nn.Module,
    batches: Iterable[Tensor],
    norms: dict[str, _BatchNorm] | None = None,
) -> list[str]:
    """Re-estimate the running statistics of a network's batch norms, in one pass over images.

    Each norm gets the mean and the variance of its input, from the law of total
    variance over the batches; batches may differ in number and size of images. The network runs in
    evaluation mode, so that nothing is dropped and padding is cropped as in inference, and every
    norm already uses its estimate so far, including the current batch. Modes, weights and momentum
    do not change. In a distributed job each rank has its own images, and all ranks get the
    statistics over all images.

    Args:
        network: Any network of one tensor, e.g. the backbone of a detector.
        batches: Its inputs, each ``(N, C, H, W)``, on the network's device.
        norms: Which ones; by default those of :func:`calibratable_norms`.

    Returns:
        Names of the norms.

    Raises:
        ValueError: If the network has no such norm, or there is no batch.
    """
    norms = calibratable_norms(network) if norms is None else norms
    if not norms:
        raise ValueError("the network has no batch norm whose statistics may change")
    counts = dict.fromkeys(norms.values(), 0)

    def observe(norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        var, mean = torch.var_mean(x, axes, correction=0)
        count = x.numel() // x.shape[1]
        counts[norm] += count
        share = count / counts[norm]
        drift = mean - norm.running_mean
        norm.running_var.lerp_(var + (1 - share) * drift.square(), share)
        norm.running_mean.lerp_(mean, share)

    modes = {module: module.training for module in network.modules()}
    network.eval()
    hooks = [norm.register_forward_pre_hook(observe) for norm in norms.values()]
    try:
        for batch in batches:
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    for norm, count in counts.items():
        _merge_ranks(norm, count)
    return list(norms)


def _merge_ranks(norm: _BatchNorm, count: int) -> None:
    """Make the statistics of one rank's ``count`` values those of all ranks' values."""
    # Not every device has float64.
    mean, var = norm.running_mean.cpu().double(), norm.running_var.cpu().double()
    moments = count * torch.stack([torch.ones_like(mean), mean, var + mean.square()])
    all_reduce(moments)
    if not moments[0].all():
        raise ValueError("there is no batch to estimate statistics from")
    mean, square = moments[1:] / moments[0]
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(square - mean.square())


def image_batches(model: nn.Module, dataloader: DataLoader, num_images: int) -> Iterator[Tensor]:
    """Images of a data set as the backbone of a model gets them.

    The same images each time, drawn at random, and each rank gets its share of them. They pass the
    pipeline and the data preprocessor as in training, but batch augmentations, which validation
    does without. The data loader itself is not iterated over, because training may be iterating
    over it.

    Args:
        model: A model of mmdet, mmseg or mmpretrain.
        dataloader: Holds the data set and how it is batched.
        num_images: How many images; all if the set has no more.

    Yields:
        Images ``(N, C, H, W)``, preprocessed, on the model's device.

    Raises:
        RunError: If an image cannot be loaded; the message names it.
    """
    if is_model_wrapper(model):
        model = model.module
    preprocess = copy.deepcopy(model.data_preprocessor)
    preprocess.batch_augments = None
    generator = torch.Generator().manual_seed(0)
    indices = torch.randperm(len(dataloader.dataset), generator=generator)[:num_images]
    name_broken_images(dataloader.dataset)
    loader = DataLoader(
        dataloader.dataset,
        batch_size=dataloader.batch_size or dataloader.batch_sampler.batch_size,
        sampler=indices[get_rank() :: get_world_size()].tolist(),
        num_workers=dataloader.num_workers,
        collate_fn=dataloader.collate_fn,
        worker_init_fn=dataloader.worker_init_fn,
    )
    for data in loader:
        # Segmentation pads its images to one size in training only.
        yield preprocess(data, True)["inputs"]


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Re-estimates the backbone's batch norms before training, and again at an interval.

    Before training, pretrained weights are loaded and their statistics still belong to the images
    of the pretraining: fine-tuning then starts from a network that fits the resolution of its
    task. A resumed run has learnt its statistics and skips this. At an interval, evaluation and
    checkpoints get statistics of the weights of that moment and not a running average over those
    that led there; so does the average of weights that mmengine's ``EMAHook`` evaluates. See
    `calibrate_norms`; frozen norms are left alone.

    Args:
        num_images: Images of the training set to estimate from; all if it has no more.
        interval: Epochs between estimations, or iterations if the training loop counts those;
            before training only if not given.
    """

    # After EMAHook, which copies statistics of the weights to their average; before checkpoints.
    priority = "LOW"

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
        averages = [hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)]
        norms = calibratable_norms(model.backbone)
        for network in (model.backbone, *(average.backbone for average in averages)):
            # Of an average, no parameter is trained.
            own = {name: network.get_submodule(name) for name in norms}
            batches = image_batches(model, runner.train_dataloader, self.num_images)
            calibrate_norms(network, batches, own)
        runner.logger.info(f"re-estimated the statistics of {len(norms)} batch norms")
