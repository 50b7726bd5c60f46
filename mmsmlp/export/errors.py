"""What can go wrong with an export."""

from __future__ import annotations

from types import ModuleType

from mmsmlp import launch


class ExportError(launch.UsageError):
    """A model that cannot be exported, or a file that is no export; one line says why."""


def library(name: str) -> ModuleType:
    """Import a library of the extra ``deploy``.

    Raises:
        ExportError: If it is not installed.
    """
    return launch.library(name, "deploy", ExportError)
