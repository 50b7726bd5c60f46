"""Ends a run in good order where a scheduler asks for it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmsmlp.registry import HOOKS

from .checkpoint import AtomicCheckpointHook


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Saves a checkpoint after the iteration in which SIGTERM comes, and ends the process.

    Schedulers send it some time before they kill. In a distributed run one process that gets it
    is enough. Where gradients are accumulated, the run goes on to the next step of the optimizer;
    an evaluation comes to its end first.
    """

    # When all others have done what they do after an iteration.
    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Listen to the signal from now on."""
        self.stopping = False
        self.previous = signal.signal(signal.SIGTERM, self._note)
        for loop in (runner.train_loop, runner.val_loop):
            if loop is not None:
                loader = loop.dataloader
                loader.worker_init_fn = partial(_heed_parent_only, loader.worker_init_fn)

    def _note(self, *args: object) -> None:
        self.stopping = True

    def after_train(self, runner: Runner) -> None:
        """Listen no more."""
        signal.signal(signal.SIGTERM, self.previous)

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Stop if any process was asked to."""
        stopping = torch.tensor(int(self.stopping))
        all_reduce(stopping)
        wrapper = runner.optim_wrapper
        if not stopping or (isinstance(wrapper, OptimWrapper) and not wrapper.should_update()):
            return
        for hook in runner.hooks:
            if isinstance(hook, AtomicCheckpointHook):
                hook.save_now(runner)
        barrier()  # or the launcher takes the end of the others for a failure while one saves
        if is_main_process():
            done = runner.iter + 1
            print(f"stopped by SIGTERM at iteration {done}; --resume goes on", file=sys.stderr)
        signal.signal(signal.SIGTERM, self.previous)
        sys.exit(128 + signal.SIGTERM)


def _heed_parent_only(initialise: Callable[[int], None] | None, worker: int) -> None:
    """Start a process that loads images; it gets the signal as well where all of a job do.

    If it ended then, torch would raise an error in the run, which has an iteration to finish.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    if initialise is not None:
        initialise(worker)


def _end_with_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
