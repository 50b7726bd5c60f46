"""Saves checkpoints such that a run may be killed at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmsmlp.checkpoints import remove_partial, write_atomically
from mmsmlp.errors import CheckpointError, RunError
from mmsmlp.registry import HOOKS

BACKEND = "mmsmlp"


@register_backend(BACKEND, force=True)
class WholeFiles(LocalBackend):
    """Local files that are there as a whole or not at all; what is removed goes when told so."""

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
        """Note that a file is to go."""
        self.outdated.add(str(filepath))

    def remove_outdated(self, *kept: str | None) -> None:
        """Remove what was noted, but not ``kept``."""
        for path in self.outdated.difference(kept):
            Path(path).unlink(missing_ok=True)
        self.outdated.clear()


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, but at any moment there is a whole checkpoint to go on from.

    That one removes the old checkpoint before it writes the new one in its place. Here a new one
    takes its place when it is complete, then ``last_checkpoint`` names it, then the old one goes.
    With a ``backend_args`` of your own, or an ``out_dir`` on another machine, it is mmengine's.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose where to write, and clear away what an interrupted run left half-written."""
        if not (self.backend_args or self.file_client_args or "://" in str(self.out_dir)):
            self.backend_args = dict(backend=BACKEND)
        super().before_train(runner)
        self.atomic = isinstance(self.file_backend, WholeFiles)
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
        if not self.atomic:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        hub = runner.message_hub
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                self.file_backend.remove(self._path(self.keep_ckpt_ids[0]))
            self.keep_ckpt_ids.append(step)  # and the first one drops out
            hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        # Should this run be killed before it can remove them, the next one does.
        hub.update_info("outdated_ckpts", sorted(self.file_backend.outdated))
        self.last_ckpt = self._path(step)
        hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            self.filename_tmpl.format(step),
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            write_atomically(self.last_ckpt.encode(), Path(runner.work_dir, "last_checkpoint"))
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
