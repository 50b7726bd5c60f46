"""Config files: read, named as a base, and written with the settings that differ from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.utils import is_installed

from mmsmlp.errors import SwapError, one_line
from mmsmlp.model_zoo import SHIPPED, configs_of

DELETE = "_delete_"


def read_config(path: Path) -> Config:
    """Read a config that another can inherit from by ``_base_``.

    Args:
        path: Its file.

    Raises:
        SwapError: If it cannot be read, or is of the style that imports classes.
    """
    try:
        cfg = Config.fromfile(path)
        lazy = Config._is_lazy_import(str(path))
    except Exception as error:  # a config is a program
        raise SwapError(f"config {str(path)!r} cannot be read: {one_line(error)}") from error
    if lazy:
        raise SwapError(
            f"config {str(path)!r} imports classes, and `_base_` cannot inherit from such a one; "
            "give one that names types by strings"
        )
    return cfg


def base_of(path: Path, folder: Path) -> str:
    """The value of ``_base_``, as source code, to inherit from a config.

    Args:
        path: The config.
        folder: Where the config that inherits is.

    Returns:
        ``'mmdet::…'`` or the like for a config that a package ships, also where the package is
        there and mmengine does not know its distribution by name; otherwise the path from the
        folder.
    """
    for parent in path.parents:
        if parent.parts[-2:] == SHIPPED.parts:
            package, rest = parent.parents[1].name, path.relative_to(parent).as_posix()
            if configs_of(package) == parent:
                if is_installed(MODULE2PACKAGE.get(package, package)):
                    return repr(f"{package}::{rest}")
                return f'__import__("{package}").__path__[0] + "/{SHIPPED.as_posix()}/{rest}"'
    return repr(Path(os.path.relpath(path, folder)).as_posix())


@contextmanager
def written(target: Path, title: str, base: str, changes: dict[str, Any]) -> Iterator[Path]:
    """Write a config that is kept only if the block ends without an error.

    Args:
        target: Path of the config.
        title: Its description, in a line.
        base: The value of ``_base_``, as source code.
        changes: Its settings.

    Yields:
        A path beside the target, where the config can be read and tried meanwhile.
    """
    text = f'"""{title}"""\n\n_base_ = {base}\n\n{Config(changes).pretty_text}'
    draft = target.with_name(f"{target.stem}_draft_{os.getpid()}.py")
    try:
        draft.write_text(text, encoding="utf-8")
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def overrides(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The settings that turn a config that inherits from ``old`` into ``new``.

    Lists are given completely, because mmengine cannot change an item of one; dicts are if their
    ``type`` changes or keys go.

    Args:
        old: The config inherited from; all of its keys are in ``new``.
        new: The config wanted.

    Examples:
        >>> overrides(dict(a=dict(b=1, c=2)), dict(a=dict(b=1, c=3), d=4))
        {'a': {'c': 3}, 'd': 4}
    """
    changes: dict[str, Any] = {}
    for key, value in new.items():
        if key not in old:
            changes[key] = value
        elif old[key] == value:
            continue
        elif _inherits(old[key], value):
            changes[key] = overrides(old[key], value)
        elif isinstance(value, dict):
            changes[key] = {DELETE: True, **value}
        else:
            changes[key] = value
    return changes


def _inherits(old: Any, new: Any) -> bool:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return False
    return old.keys() <= new.keys() and old.get("type") == new.get("type")
