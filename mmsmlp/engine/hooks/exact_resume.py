"""Makes a run that was interrupted end as if it had not been."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import chain, count, repeat
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset

from mmsmlp.registry import HOOKS

from .data_error import load_images


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Lets a resumed run end with the weights of an unbroken one, bit for bit.

    All that is random in an iteration follows from the seed, the rank and the iteration's number:
    in its images, in whichever process they are loaded, and in the network. So there is no state
    of random generators to save. A resumed run goes on with the very next batch, loads none of
    those before, and makes up for an evaluation that the interruption may have cost.

    Beyond its reach are operations that are not deterministic by themselves, as some are on GPUs,
    and generators other than Python's, NumPy's and torch's.
    """

    # Directly before the step, and when checkpoints can be saved.
    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Number the batches, go to the next one, and evaluate if that may be outstanding."""
        loop, loader = runner.train_loop, runner.train_dataloader
        self.batches = None
        if loader.batch_sampler is not None:
            self.batches = _NumberedBatches(loader.batch_sampler)
            seeds = partial(_seed, runner.seed, get_rank(), 0)
            loader.dataset.__getitems__ = partial(_load, loader.dataset, seeds)
            # Torch forbids to assign it, for the sake of iterators: there is none that stays.
            object.__setattr__(loader, "batch_sampler", self.batches)
            loader._iterator = None
            if isinstance(loop, IterBasedTrainLoop):
                self.batches.skip = runner.iter
                sampler = self.batches.sampler
                if hasattr(sampler, "_indices_of_rank"):
                    # Processes that load images have drawn from it, by mmengine's own releases.
                    sampler.indices = sampler._indices_of_rank()
                stream = _passes(loader)
                if not hasattr(loop.dataloader_iterator, "skip_iter"):
                    # This release of mmengine draws again all that was trained on.
                    stream = chain(repeat(None, runner.iter), stream)
                loop.dataloader_iterator = _Stream(stream)
        if _evaluation_is_due(runner):
            runner.val_loop.run()

    def before_train_epoch(self, runner: Runner) -> None:
        """Skip what was trained on of an epoch."""
        if self.batches and isinstance(runner.train_loop, EpochBasedTrainLoop):
            done = runner.iter - runner.epoch * len(self.batches)
            self.batches.skip = done if 0 < done <= len(self.batches) else 0
            self.batches.number = runner.iter - self.batches.skip

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Seed what is random in the network."""
        _seed(runner.seed, get_rank(), 1, runner.iter)


class _NumberedBatches:
    """The batches of a batch sampler, each with its number in the whole training.

    Attributes:
        number: That of the next batch.
        skip: How many to leave out.
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
    """What an iteration-based loop draws its batches from."""

    def __init__(self, batches: Iterator) -> None:
        self.batches = batches

    def __next__(self) -> Any:
        return next(self.batches)

    def skip_iter(self, number: int) -> None:
        """Nothing is left to skip."""


def _passes(loader: DataLoader) -> Iterator:
    """Batches without end, if need be by going through the data set again and again."""
    sampler = loader.batch_sampler.sampler
    for epoch in count():
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


def _evaluation_is_due(runner: Runner) -> bool:
    """Whether a resumed run stands where an evaluation follows."""
    loop = runner.train_loop
    if runner.val_loop is None or not runner.iter:
        return False
    if isinstance(loop, IterBasedTrainLoop):
        done, last = runner.iter, loop.max_iters
    elif isinstance(loop, EpochBasedTrainLoop):
        done, last = runner.epoch, loop.max_epochs
        if runner.iter != done * len(loop.dataloader):
            return False
    else:
        return False
    return done >= last or (done >= loop.val_begin and done % loop.val_interval == 0)
