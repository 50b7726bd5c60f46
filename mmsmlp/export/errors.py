"""What can go wrong with an export."""

from __future__ import annotations

import importlib
from types import ModuleType

from mmsmlp.launch import UsageError


class ExportError(UsageError):
    """A model that cannot be exported, or a file that is no export; one line says why."""


def library(name: str) -> ModuleType:
    """Import a library of the extra ``deploy``.

    Raises:
        ExportError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(f"{name} is missing ({error}): pip install mmsmlp[deploy]") from error
