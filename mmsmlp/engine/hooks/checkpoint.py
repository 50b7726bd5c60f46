"""Crash-safe checkpoints: written atomically, and one more when SIGTERM comes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmsmlp.checkpoints import remove_partial, write_atomically
from mmsmlp.errors import CheckpointError, RunError
from mmsmlp.registry import HOOKS

BACKEND = "mmsmlp"


@register_backend(BACKEND, force=True)
class AtomicLocalBackend(LocalBackend):
    """Writes local files atomically, and removes outdated ones only when asked to."""

    def __init__(self) -> None:
        self.outdated: set[str] = set()

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file; until it is complete, the one before stays."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        try:
            write_atomically(obj, Path(filepath))
        except CheckpointError as error:
            raise RunError(str(error)) from error

    def remove(self, filepath: str | Path) -> None:
        """Note a file that will be removed."""
        self.outdated.add(str(filepath))

    def remove_outdated(self, *kept: str | None) -> None:
        """Remove the noted files, except ``kept``."""
        for path in self.outdated.difference(kept):
            Path(path).unlink(missing_ok=True)
        self.outdated.clear()


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, but there is always a complete checkpoint to resume from.

    mmengine removes the old checkpoint before it writes the new one. Here the new one is first
    completed and renamed, then ``last_checkpoint`` names it, then the old one is removed. With
    ``backend_args``, or an ``out_dir`` on another machine, the hook behaves like mmengine's.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose where to write, and remove incomplete files of an interrupted run."""
        if not (self.backend_args or self.file_client_args or "://" in str(self.out_dir)):
            self.backend_args = dict(backend=BACKEND)
        super().before_train(runner)
        self.atomic = isinstance(self.file_backend, AtomicLocalBackend)
        if self.atomic and is_main_process():
            info = runner.message_hub.runtime_info
            self.file_backend.outdated.update(info.get("outdated_ckpts", []))
            self.file_backend.remove_outdated(info.get("last_ckpt"), *self._best())
            remove_partial(Path(self.out_dir))

    def save_now(self, runner: Runner) -> None:
        """Save a checkpoint after any iteration, as after the last of an epoch."""
        done = runner.iter + 1
        step = f"{runner.epoch}_iter_{done}" if self.by_epoch else done
        if self.last_ckpt != self._path(step):
            self._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=done))

    def _save_checkpoint_with_step(self, runner: Runner, step: int | str, meta: dict) -> None:
        if self.atomic:
            kept = self.keep_ckpt_ids if self.max_keep_ckpts > 0 else ()
            if len(kept) == self.max_keep_ckpts and step not in kept:
                self.file_backend.remove(self._path(kept[0]))
            # Should this run be killed before it can remove them, the next one does.
            outdated = sorted(self.file_backend.outdated)
            runner.message_hub.update_info("outdated_ckpts", outdated)
        super()._save_checkpoint_with_step(runner, step, meta)
        if self.atomic and is_main_process():
            self.file_backend.remove_outdated(*self._best())

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        if not hasattr(self, "atomic"):  # an evaluation alone: there is nothing to save
            return
        super()._save_best_checkpoint(runner, metrics)
        if self.atomic and is_main_process():
            self.file_backend.remove_outdated(*self._best())

    def _path(self, step: int | str) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))

    def _best(self) -> list[str | None]:
        """The best checkpoints, which an older one may have the name of."""
        paths = getattr(self, "best_ckpt_path_dict", {})
        return [getattr(self, "best_ckpt_path", None), *paths.values()]


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Saves a checkpoint after the iteration in which SIGTERM comes, and ends the process.

    Schedulers send it some time before they kill. In a distributed run one process that gets it
    is enough. Where gradients are accumulated, the run continues to the next step of the optimizer;
    an evaluation comes to its end first.
    """

    # After all other hooks.
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
            print(f"stopped by SIGTERM at iteration {done}; --resume continues", file=sys.stderr)
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
