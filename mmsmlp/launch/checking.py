"""What is checked before anything slow starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .errors import UsageError


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
