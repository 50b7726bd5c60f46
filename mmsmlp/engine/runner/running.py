"""Starting a tool and its Runner, and its last message."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from mmsmlp.errors import CheckpointError, RunError, UsageError
from mmsmlp.registry import HOOKS

from .checking import check_folder, empty_data_set
from .memory import keep_freed_memory
from .processes import is_lost_process, join_without_gpu

RUN_HOOKS = (
    "LossCurveHook",
    "PredictionSheetHook",
    "StopOnSignalHook",
    "DataErrorHook",
    "ExactResumeHook",
    "FiniteLossHook",
    "AnnotationReportHook",
    "CheckWeightsHook",
)
# A full disk, a quota, a limit, or a disk that became read-only.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def build_runner(cfg: Config, needs: str = "whole") -> Runner:
    """A Runner, of mmengine's class unless the config names another in ``runner_type``.

    It gets hooks of this package, which the config that it dumps does not name.

    Args:
        cfg: The config.
        needs: The required part of a checkpoint, see :func:`~mmsmlp.checkpoints.check_loading`.

    Raises:
        UsageError: If there is no GPU, and the launcher needs one, or nothing can be written into
            the work directory.
    """
    try:
        join_without_gpu(cfg)
    except ValueError as error:
        raise UsageError(f"--launcher: {error}") from error
    check_folder(cfg.work_dir, "the work directory", "--work-dir")
    keep_freed_memory()
    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    _attach_hooks(runner, needs)
    return runner


def _attach_hooks(runner: Runner, needs: str) -> None:
    """Give a run the hooks that every run has, unless its config has them already."""
    for hook in runner.hooks:
        if type(hook) is CheckpointHook:
            # It has the same state, and differs in how it writes and removes.
            hook.__class__ = HOOKS.get("AtomicCheckpointHook")
    for name in RUN_HOOKS:
        if not any(isinstance(hook, HOOKS.get(name)) for hook in runner.hooks):
            options = dict(needs=needs) if name == "CheckWeightsHook" else {}
            runner.register_hook(HOOKS.get(name)(**options))


@master_only
def report(runner: Runner, stage: str) -> None:
    """Print the metrics of ``'val'`` or ``'test'``, and where everything was written."""
    console = Console(highlight=False, soft_wrap=True)
    metrics = {
        name.removeprefix(f"{stage}/"): buffer.current()
        for name, buffer in runner.message_hub.log_scalars.items()
        if name.startswith(f"{stage}/") and not name.endswith("time")
    }
    if metrics:
        table = Table("metric", "value", title=f"{stage} of {runner.experiment_name}")
        for name, value in metrics.items():
            table.add_row(name, f"{value:.4g}")
        console.print(table)
    work_dir = Path(runner.work_dir)
    last_checkpoint = work_dir / "last_checkpoint"
    written = {
        "log": Path(runner.log_dir) / f"{runner.timestamp}.log",
        "checkpoint": Path(last_checkpoint.read_text()) if last_checkpoint.exists() else None,
        "loss curve": work_dir / "loss_curve.png",
        "predictions": work_dir / "predictions.png",
    }
    for name, path in written.items():
        if path is not None and path.exists():
            console.print(f"{name + ':':<12} {path}")


def run(main: Callable[[], None], interrupted: str = "nothing was written") -> None:
    """Run a tool; errors that the user can fix are one line.

    Args:
        main: The tool.
        interrupted: How to continue after an interruption by the user, by the end of another
            process of the job, or by an error of data or disk.
    """
    try:
        main()
    except (UsageError, CheckpointError) as error:
        sys.exit(f"error: {error}")
    except RunError as error:
        sys.exit(f"error: {error}; {interrupted}")
    except ValueError as error:
        if not (line := empty_data_set(error)):
            raise
        sys.exit(f"error: {line}")
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = f" {error.filename!r}" if error.filename else ""
        sys.exit(f"error: cannot write{where}: {error.strerror}; {interrupted}")
    except RuntimeError as error:
        if not is_lost_process(error):
            raise
        sys.exit(f"error: lost another process of the job ({error}); {interrupted}")
    except KeyboardInterrupt:
        print(f"\ninterrupted; {interrupted}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
