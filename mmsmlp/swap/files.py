"""Config files: finding them, naming them as a base, and writing one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.utils import is_installed

from mmsmlp.errors import SwapError
from mmsmlp.model_zoo import SHIPPED, config_path, configs_of

from .failures import one_line


def find_config(name: str) -> Path:
    """Path of a config.

    Args:
        name: Its path, or ``package::path`` for one that a package ships, with or without suffix.

    Raises:
        SwapError: If there is no such file.
    """
    _, scoped, path = name.partition("::")
    try:
        found = Path(name)
        if scoped:
            found = config_path(name if Path(path).suffix else f"{name}.py")
    except FileNotFoundError as error:
        raise SwapError(f"config {name!r}: {error}") from error
    if not found.is_file():
        raise SwapError(f"config {name!r} does not exist")
    return found


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
    """What ``_base_`` has to be, as source code, to inherit from a config.

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
    """Write a config that is there only once the block is done without an error.

    Args:
        target: Path of the config.
        title: What it is, in a line.
        base: What ``_base_`` is to be, as source code.
        changes: Its settings.

    Yields:
        A path beside the target, where the config can be read and tried meanwhile.
    """
    text = f'"""{title}"""\n\n_base_ = {base}\n\n{Config(changes).pretty_text}'
    file, name = tempfile.mkstemp(".py", f"{target.stem}_draft_", target.parent)
    draft = Path(name)
    try:
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)
        yield draft
        # mkstemp is for secrets: give the file the rights that any new one has.
        os.umask(umask := os.umask(0))
        draft.chmod(0o666 & ~umask)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
