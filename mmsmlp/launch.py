"""What ``tools/train.py`` and ``tools/test.py`` have in common."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table

from mmsmlp.checkpoints import (
    CheckpointError,
    guard_loading,
    newest_checkpoint,
    read_checkpoint,
)
from mmsmlp.mini.swap import use_mini
from mmsmlp.processes import is_lost_process, join_without_gpu
from mmsmlp.recipes import config_path

RUN_HOOKS = (
    "mmsmlp.LossCurveHook",
    "mmsmlp.PredictionSheetHook",
    "mmsmlp.StopOnSignalHook",
    "mmsmlp.ExactResumeHook",
)


class UsageError(Exception):
    """Something the user can put right; the message says how, and no traceback is shown."""


def base_parser(description: str, needs: str = "whole") -> argparse.ArgumentParser:
    """A parser with the arguments that training and testing share.

    Args:
        description: What the tool does.
        needs: What it needs of a checkpoint, see :func:`~mmsmlp.checkpoints.check_weights`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.set_defaults(needs=needs)
    parser.add_argument("config", help="its path, or `mmsmlp::…`, `mmdet::…` for an installed one")
    parser.add_argument("--work-dir", help="where to write (default: work_dirs/<config's name>)")
    parser.add_argument(
        "--mini",
        action="store_true",
        help="use the built-in mini data set and a short schedule; heads get cheaper",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="settings to override, e.g. `model.backbone.with_cp=True train_cfg.max_epochs=36`",
    )
    add_trust_argument(parser)
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="how several processes were started",
    )
    # torch.distributed.launch passes this beside LOCAL_RANK, which is what mmengine reads.
    parser.add_argument("--local-rank", "--local_rank", type=int, help=argparse.SUPPRESS)
    return parser


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that :func:`guard_loading` takes."""
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="run the code in checkpoints that hold more than tensors and the state of a run",
    )


def read_config(name: str) -> Config:
    """Read a config.

    Args:
        name: Its path, or ``library::path`` for one that is installed.

    Raises:
        UsageError: If there is no such config, or none of those that it inherits from.
    """
    path = Path(name)
    if "::" in name:
        try:
            path = config_path(name)
        except FileNotFoundError as error:
            raise UsageError(str(error)) from error
    if not path.is_file():
        neighbours = {str(other) for other in Path().glob("configs/*.py")}
        neighbours |= {str(other) for other in path.parent.glob("*.py")}
        close = get_close_matches(name, neighbours, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise UsageError(f"config {name!r} does not exist{hint}")
    try:
        return Config.fromfile(path)
    except FileNotFoundError as error:
        raise UsageError(f"config {name!r} cannot be read: {error}") from error


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and put in what the arguments of :func:`base_parser` say.

    Raises:
        UsageError: If there is no such config, or the mini data set cannot take its place.
    """
    guard_loading(args.trust_checkpoint)
    cfg = read_config(args.config)
    name = Path(cfg.filename).stem
    if args.mini:
        try:
            use_mini(cfg)
        except (ValueError, FileExistsError) as error:
            raise UsageError(f"--mini: {error}") from error
        name += "_mini"
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or f"work_dirs/{name}"
    cfg.launcher = args.launcher
    _add_hooks(cfg, args.needs)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def _add_hooks(cfg: Config, needs: str) -> None:
    """Give a run what every run has, unless the config has it already."""
    hooks = cfg.get("custom_hooks") or []
    known = {hook["type"] for hook in hooks}
    ours = [dict(type=hook) for hook in RUN_HOOKS]
    ours.append(dict(type="mmsmlp.MatchedWeightsHook", needs=needs))
    cfg.custom_hooks = hooks + [hook for hook in ours if hook["type"] not in known]
    saving = cfg.setdefault("default_hooks", {}).setdefault("checkpoint", {})
    if saving is not None and saving.get("type") in (None, "CheckpointHook", CheckpointHook):
        saving["type"] = "mmsmlp.AtomicCheckpointHook"


def check_data(cfg: Config, *splits: str) -> None:
    """Make sure that the data sets of some splits are there, before anything slow starts.

    Args:
        cfg: The config.
        splits: Of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        UsageError: If a file or folder is missing; the message says which and what to do.
    """
    for split in splits:
        dataloader = cfg.get(f"{split}_dataloader") or {}
        for path in _paths_of(dataloader.get("dataset")):
            if "://" not in path and not os.path.exists(path):
                raise UsageError(
                    f"{split}_dataloader: there is no {path} (looked in {Path.cwd()}). Put the "
                    "data there, set data_root to where it is, or add --mini to use the built-in "
                    "mini data set"
                )


def _paths_of(dataset: Any) -> Iterator[str]:
    """Annotation files and image folders of a data set, or of those that it wraps."""
    if isinstance(dataset, (list, tuple)):
        for part in dataset:
            yield from _paths_of(part)
    elif isinstance(dataset, dict):
        root = dataset.get("data_root") or ""
        prefix = dataset.get("data_prefix") or {}
        prefixes = prefix.values() if isinstance(prefix, dict) else [prefix]
        for part in [dataset.get("ann_file"), *prefixes]:
            if part and isinstance(part, str):
                yield os.path.join(root, part)
        for wrapped in ("dataset", "datasets"):
            yield from _paths_of(dataset.get(wrapped))


def check_checkpoint(path: str) -> None:
    """Make sure that a checkpoint is there.

    Raises:
        UsageError: If it is not.
    """
    if "://" not in path and not os.path.isfile(path):
        raise UsageError(f"checkpoint {path!r} does not exist")


def resume_from(cfg: Config, checkpoint: str, trust: bool = False) -> bool:
    """Let a run go on from a checkpoint, or from the newest in its work directory.

    Args:
        cfg: The config, changed in place. With nothing to go on from yet, its run begins as the
            config says, with the weights of its ``load_from``.
        checkpoint: Path, or ``'auto'`` for the newest one.
        trust: Whether code in checkpoints may run.

    Returns:
        Whether nothing is left to train, but to evaluate.

    Raises:
        UsageError: If there is no such checkpoint, or it is not of a training run.
        CheckpointError: If it cannot be read.
    """
    if checkpoint == "auto":
        found = newest_checkpoint(cfg.work_dir, trust=trust)
        if found is None:
            return False
        path, content = found
    else:
        check_checkpoint(checkpoint)
        path, content = checkpoint, read_checkpoint(checkpoint, trust=trust)
    unit = "epoch" if "max_epochs" in cfg.train_cfg else "iter"
    meta = content.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    lacking = [part for part in ("message_hub", "optimizer") if part not in content]
    if not isinstance(meta.get(unit), int):
        lacking.append(f"{unit} in its meta")
    if lacking:
        raise UsageError(
            f"{path} has no {' and no '.join(lacking)} to resume a run from; to begin with its "
            f"weights, leave --resume out and add --cfg-options load_from={path}"
        )
    finished = meta[unit] >= cfg.train_cfg[f"max_{unit}s"]
    cfg.load_from, cfg.resume = path, True
    if cfg.setdefault("randomness", {}).get("seed") is None:
        # The sampler needs it before the Runner reads the checkpoint.
        cfg.randomness["seed"] = meta.get("seed")
    return finished


def build_runner(cfg: Config) -> Runner:
    """A Runner, of mmengine's class unless the config names another in ``runner_type``.

    Raises:
        UsageError: If there is no GPU, and the launcher needs one.
    """
    try:
        join_without_gpu(cfg)
    except ValueError as error:
        raise UsageError(f"--launcher: {error}") from error
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


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
    """Run a tool, ending in one line where the user is to act.

    Args:
        main: The tool.
        interrupted: What to say of the state in which it is left when interrupted, by the user or
            by the end of another process of the job.
    """
    try:
        main()
    except (UsageError, CheckpointError) as error:
        sys.exit(f"error: {error}")
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
