"""Exact resumption: an interrupted run ends as if it had not been interrupted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import chain, count, repeat
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset

from mmsmlp.registry import HOOKS

from .data_error import load_images

# Their order follows from seed, pass and number alone. Others keep a state that is not saved.
LIBRARIES = ("mmdet", "mmengine", "mmpretrain", "torch")
LOOPS = ("EpochBasedTrainLoop", "IterBasedTrainLoop")
SAMPLERS = ("DefaultSampler", "InfiniteSampler", "ClassAwareSampler", "RepeatAugSampler")
BATCH_SAMPLERS = ("BatchSampler", "AspectRatioBatchSampler")
# The first images of a pass are the same for any batch size and number of ranks.
CONTIGUOUS = ("DefaultSampler/BatchSampler", "InfiniteSampler/BatchSampler")


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Lets a resumed run end with the weights of an unbroken one, bit for bit.

    All that is random in an iteration follows from the seed, the rank and the iteration's number:
    in its images, in whichever process they are loaded, and in the network. So there is no state
    of random generators to save, and random numbers are others than without this hook. A resumed
    run continues with the very next batch, loads none of those before, and makes up for an
    evaluation that the interruption may have cost.

    Checkpoints have the number of trained images of the current pass. With another batch size or
    number of ranks, the run continues behind these images; with other data or another sampler, it
    starts the pass with its first image. mmengine handles unknown samplers or loops, and
    checkpoints without this number. Each of these is logged.

    Not covered: GPU kernels that are not deterministic, and generators other than Python's, NumPy's
    and torch's.
    """

    # Directly before the step, and when checkpoints can be saved.
    priority = "LOWEST"
    place: dict[str, Any] | None = None
    batches: _NumberedBatches | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note where the run was."""
        self.place = checkpoint.get("meta", {}).get("data_place") if runner._resume else None

    def before_train(self, runner: Runner) -> None:
        """Number the batches, go to the next one, and evaluate if that may be outstanding."""
        loop, loader = runner.train_loop, runner.train_dataloader
        self.by_epoch = isinstance(loop, EpochBasedTrainLoop)
        self.order, unknown = _order(loop, loader)
        if (
            runner.iter and not self.place
        ):  # saved without this hook, or with an unknown sampler or loop
            unknown = unknown or "a checkpoint that does not say where in the data it was"
        if unknown:
            level = "warning" if runner.iter else "info"
            getattr(runner.logger, level)(
                f"{unknown} is left to mmengine: a resumed run may draw other images than an "
                "unbroken one"
            )
        else:
            self._number_batches(runner)
        if _evaluation_is_due(runner, self.place):
            runner.val_loop.run()

    def _number_batches(self, runner: Runner) -> None:
        loop, loader = runner.train_loop, runner.train_dataloader
        self.batches = _NumberedBatches(loader.batch_sampler)
        self.batch_size = self.batches.batch_size * get_world_size()
        seeds = partial(_seed, runner.seed, get_rank(), 0)
        loader.dataset.__getitems__ = partial(_load, loader.dataset, seeds)
        # Torch forbids to assign it, for the sake of iterators: there is none that stays.
        object.__setattr__(loader, "batch_sampler", self.batches)
        loader._iterator = None
        first_pass, images, line = self._position(runner)
        if line:
            runner.logger.warning(line)
        self._start(runner, first_pass, images // self.batch_size)
        if self.by_epoch:
            return
        # Processes that load images may have drawn from them already.
        sampler, batches = self.batches.sampler, self.batches.batches
        if hasattr(sampler, "_indices_of_rank"):
            sampler.indices = sampler._indices_of_rank()
        if hasattr(batches, "_aspect_ratio_buckets"):
            batches._aspect_ratio_buckets = [[] for _ in batches._aspect_ratio_buckets]
        # The loop drops as many batches as it has trained on.
        loop.dataloader_iterator = _Stream(
            chain(repeat(None, runner.iter), _passes(loader, first_pass))
        )

    def _position(self, runner: Runner) -> tuple[int, int, str]:
        """Passes that are complete, images of the next one that are done, and a line to log."""
        place = self.place
        if not place:
            return 0, 0, ""
        number, images = place["passes"], place["images"]
        size, where = place["batch_size"], f"pass {number + 1} over the training set"
        if not images:
            return number, 0, ""
        if images >= place["num_images"] and not self._is_endless():  # an epoch before its end
            return number, len(self.batches) * self.batch_size, ""
        if (place["num_images"], place["order"]) != (self._num_images(runner), self.order):
            return number, 0, f"the training set or its sampler was changed: {where} starts again"
        if size == self.batch_size:
            return number, images, ""
        if self.order not in CONTIGUOUS:
            return number, 0, f"the total batch size was {size}: {where} starts again"
        again = images % self.batch_size
        return number, images, f"the total batch size was {size}: {again} images are repeated"

    def _start(self, runner: Runner, first_pass: int, skip: int) -> None:
        """Remember the first batch number, and skip the batches before it."""
        self.first_pass, self.first_batch, self.first_iter = first_pass, skip, runner.iter
        self.batches.skip, self.batches.number = skip, runner.iter - skip

    def after_train_epoch(self, runner: Runner) -> None:
        """Count from the next epoch on."""
        if self.batches and self.by_epoch:
            self._start(runner, runner.epoch + 1, 0)

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Seed random operations in the network."""
        _seed(runner.seed, get_rank(), 1, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Save how many images of the pass were trained on."""
        if not self.batches:
            return
        meta = checkpoint["meta"]
        done = self.first_batch + meta["iter"] - self.first_iter
        passes = self.first_pass
        if self.by_epoch and meta["epoch"] > passes:  # saved at the end of an epoch
            passes, done = meta["epoch"], 0
        elif not (self.by_epoch or self._is_endless()):
            more, done = divmod(done, len(self.batches))
            passes += more
        meta["data_place"] = dict(
            passes=passes,
            images=done * self.batch_size,
            batch_size=self.batch_size,
            num_images=self._num_images(runner),
            order=self.order,
        )

    def _is_endless(self) -> bool:
        return self.order.startswith("InfiniteSampler")

    def _num_images(self, runner: Runner) -> int:
        return len(runner.train_dataloader.dataset)


def _order(loop: Any, loader: DataLoader) -> tuple[str, str | None]:
    """Names of sampler and batch sampler, and unknown types of loop and loader."""
    batches = loader.batch_sampler
    sampler = getattr(batches, "sampler", None)
    for part, known in ((loop, LOOPS), (sampler, SAMPLERS), (batches, BATCH_SAMPLERS)):
        kind = type(part)
        if kind.__name__ not in known or kind.__module__.partition(".")[0] not in LIBRARIES:
            return "", "a data loader without a sampler" if part is None else kind.__name__
    return f"{type(sampler).__name__}/{type(batches).__name__}", None


class _NumberedBatches:
    """The batches of a batch sampler, each with its number in the complete training.

    Attributes:
        number: That of the next batch.
        skip: Number of batches to skip.
    """

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        self.sampler = batches.sampler
        self.batch_size = batches.batch_size
        self.number = self.skip = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[_Batch]:
        for indices in self.batches:
            number, self.number = self.number, self.number + 1
            if self.skip:
                self.skip -= 1
            else:
                yield _Batch(indices, number)


class _Batch(list):
    """Indices of images, and the number of the batch."""

    def __init__(self, indices: list[int], number: int) -> None:
        super().__init__(indices)
        self.number = number

    def __reduce__(self) -> tuple:
        return _Batch, (list(self), self.number)


class _Stream:
    """Data loader iterator of an iteration-based loop."""

    def __init__(self, batches: Iterator) -> None:
        self.batches = batches

    def __next__(self) -> Any:
        return next(self.batches)

    def skip_iter(self, number: int) -> None:
        """Drop batches; older releases of mmengine call ``next`` for that."""
        for _ in range(number):
            next(self)


def _passes(loader: DataLoader, first: int) -> Iterator:
    """Batches without end, if need be by going through the data set again and again."""
    sampler = loader.batch_sampler.sampler
    for epoch in count(first):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        yield from loader


def _load(dataset: Dataset, seed: Any, indices: list[int]) -> list:
    """The images of a batch; torch asks a data set's ``__getitems__`` for them, if it has one."""
    if isinstance(indices, _Batch):
        seed(indices.number)
    return load_images(dataset, indices)


def _seed(*numbers: int) -> None:
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _evaluation_is_due(runner: Runner, place: dict[str, Any] | None) -> bool:
    """Whether a resumed run stands where an evaluation follows."""
    loop = runner.train_loop
    if runner.val_loop is None or not runner.iter:
        return False
    if isinstance(loop, IterBasedTrainLoop):
        done, last = runner.iter, loop.max_iters
    elif isinstance(loop, EpochBasedTrainLoop):
        done, last = runner.epoch, loop.max_epochs
        if place["images"] if place else runner.iter != done * len(loop.dataloader):
            return False
    else:
        return False
    return done >= last or (done >= loop.val_begin and done % loop.val_interval == 0)
