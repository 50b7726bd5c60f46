"""Checks before anything slow starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from traceback import walk_tb
from typing import Any

from mmengine.config import Config

from mmsmlp.errors import UsageError

from .data_folders import check_data_folders
from .datasets import inner_datasets


def check_data(cfg: Config, *splits: str) -> None:
    """Make sure that the data sets of some splits exist, before anything slow starts.

    Args:
        cfg: The config.
        splits: Of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        UsageError: If a file or folder is missing (the message names it and the fix); or
            if a pipeline for validation or testing is empty.
    """
    for split in splits:
        dataloader = cfg.get(f"{split}_dataloader") or {}
        for dataset in inner_datasets(dataloader.get("dataset")):
            if split != "train" and dataset.get("pipeline") == []:
                raise UsageError(f"{split}_dataloader: pipeline must have steps, got []")
            for path in _paths_of(dataset):
                if "://" not in path and not os.path.exists(path):
                    raise UsageError(
                        f"{split}_dataloader: there is no {path} (looked in {Path.cwd()}). Put the "
                        "data there, set data_root to where it is, or add --mini to use the "
                        "built-in mini data set"
                    )
    check_data_folders(cfg, *splits)


def _paths_of(dataset: dict[str, Any]) -> Iterator[str]:
    """Annotation file and image folders of a data set."""
    prefix = dataset.get("data_prefix") or {}
    prefixes = prefix.values() if isinstance(prefix, dict) else [prefix]
    for part in [dataset.get("ann_file"), *prefixes]:
        if part and isinstance(part, str):
            yield os.path.join(dataset.get("data_root") or "", part)


def check_new_config(out: Path, force: bool) -> None:
    """Make sure that a config can be written.

    Args:
        out: Where to.
        force: Whether it may replace one.

    Raises:
        UsageError: If it cannot.
    """
    if out.suffix != ".py":
        raise UsageError(f"--out must end in .py, got {str(out)!r}")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {str(out.parent)!r} to write {out.name} in")
    if out.exists() and not (force and out.is_file()):
        raise UsageError(f"--out {str(out)!r} exists; --force replaces it")


def empty_data_set(error: ValueError) -> str | None:
    """Message if an error comes from a data set without any usable image; else None."""
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code.co_name == "_serialize_data":  # mmengine's, which joins missing prefixes
            dataset = frame.f_locals["self"]
            source = getattr(dataset, "ann_file", "") or dict(dataset.data_prefix)
            return (
                f"{source}: no image is left to load. Does metainfo.classes name its categories, "
                "and do they have annotations?"
            )
    return None


def check_checkpoint(path: str) -> None:
    """Make sure that a checkpoint exists.

    Raises:
        UsageError: If it is not.
    """
    if "://" not in path and not os.path.isfile(path):
        raise UsageError(f"checkpoint {path!r} does not exist")


def check_folder(path: str, what: str, option: str) -> None:
    """Make sure that a folder can be written into; it is made if need be.

    Args:
        path: Of the folder.
        what: Its name in messages.
        option: The option that sets it.

    Raises:
        UsageError: If it cannot.
    """
    try:
        os.makedirs(path, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write into {what} {path!r}: {error.strerror}; name another one by {option}"
        ) from error
