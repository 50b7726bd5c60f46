"""Statistics of batch norms, re-estimated where a network is to work.

The running statistics of a checkpoint belong to the images that it was trained on. At another
resolution, or in another domain, they are what breaks first.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader


def calibratable_norms(network: nn.Module) -> dict[str, _BatchNorm]:
    """Batch norms (synchronised ones as well) with statistics that may change, by name.

    A norm whose parameters are frozen is left out: what is frozen holds still. One that is only
    kept in evaluation mode while training (``norm_eval``) is in.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        and module.running_mean is not None
        and all(parameter.requires_grad for parameter in module.parameters())
    }


@torch.no_grad()
def calibrate_norms(network: nn.Module, batches: Iterable[Tensor]) -> list[str]:
    """Re-estimate the running statistics of a network's batch norms, in one pass over images.

    Each norm gets the mean and the variance of all that it is given, from the law of total
    variance over the batches; batches may differ in number and size of images. The network runs in
    evaluation mode, so that nothing is dropped and padding is cropped as in inference, and every
    norm already normalises by what it has seen so far, the batch at hand included. Modes, weights
    and momentum stay as they were. In a distributed job each rank brings its own images, and all
    end with the statistics over everything.

    Args:
        network: Any network of one tensor, e.g. the backbone of a detector.
        batches: What to run it on, each ``(N, C, H, W)``, on the network's device.

    Returns:
        Names of the norms, see :func:`calibratable_norms`.

    Raises:
        ValueError: If the network has no such norm, or there is no batch.
    """
    norms = calibratable_norms(network)
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
    does without. The data loader itself is not iterated over, as training may be in the midst of
    it.

    Args:
        model: A model of mmdet, mmseg or mmpretrain.
        dataloader: Holds the data set and how it is batched.
        num_images: How many images; all if the set has no more.

    Yields:
        Images ``(N, C, H, W)``, preprocessed, on the model's device.
    """
    if is_model_wrapper(model):
        model = model.module
    preprocess = copy.deepcopy(model.data_preprocessor)
    preprocess.batch_augments = None
    generator = torch.Generator().manual_seed(0)
    indices = torch.randperm(len(dataloader.dataset), generator=generator)[:num_images]
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
