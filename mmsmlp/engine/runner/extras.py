"""Libraries that come with an extra only."""

from __future__ import annotations

import importlib
from types import ModuleType

from mmsmlp.errors import UsageError


def library(name: str, extra: str, error: type[UsageError] = UsageError) -> ModuleType:
    """Import a library of an extra.

    Args:
        name: Of the module.
        extra: Of this package.
        error: Type of the error.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as reason:
        raise error(f"{name} is missing ({reason}): pip install mmsmlp[{extra}]") from reason
