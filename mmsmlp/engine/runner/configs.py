"""The config of a run: read by its name, and completed by options and defaults."""

from __future__ import annotations

import argparse
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmsmlp.checkpoints import guard_loading
from mmsmlp.datasets.mini.swap import use_mini
from mmsmlp.errors import UsageError
from mmsmlp.model_zoo import config_path

from .datasets import WRAPPED


def find_config(name: str) -> Path:
    """Path of a config.

    Args:
        name: Its path, or ``library::path`` for one that is installed, with or without suffix.

    Raises:
        UsageError: If there is no such config.
    """
    path = Path(name)
    if "::" in name:
        try:
            path = config_path(name if path.suffix else f"{name}.py")
        except FileNotFoundError as error:
            raise UsageError(f"config {name!r}: {error}") from error
    if not path.is_file():
        neighbours = {str(other) for other in Path().glob("configs/*.py")}
        neighbours |= {str(other) for other in path.parent.glob("*.py")}
        close = get_close_matches(name, neighbours, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise UsageError(f"config {name!r} does not exist{hint}")
    return path


def read_config(name: str) -> Config:
    """Read a config, see :func:`find_config`.

    Raises:
        UsageError: If there is no such config, or none of those that it inherits from.
    """
    path = find_config(name)
    try:
        return Config.fromfile(path)
    except FileNotFoundError as error:
        raise UsageError(f"config {name!r} cannot be read: {error}") from error


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and insert the arguments of `base_parser`.

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
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    return cfg


def use_tta(cfg: Config) -> None:
    """Test with test-time augmentation, as OpenMMLab's own tools do by ``--tta``.

    Args:
        cfg: The config, changed in place: its ``tta_model`` wraps the model, and its
            ``tta_pipeline`` is that of all test sets.

    Raises:
        UsageError: If it has not both.
    """
    if missing := [name for name in ("tta_model", "tta_pipeline") if name not in cfg]:
        raise UsageError(f"--tta needs {' and '.join(missing)} in the config")
    if "data_preprocessor" in cfg:  # mmengine gives it to the outer model, which has no use for it
        cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    datasets = [cfg.test_dataloader.dataset]
    for dataset in datasets:
        wrapped = [dataset[name] for name in WRAPPED if name in dataset]
        for parts in wrapped:
            datasets += parts if isinstance(parts, list) else [parts]
        if not wrapped:
            dataset.pipeline = cfg.tta_pipeline
