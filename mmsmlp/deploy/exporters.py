"""Libraries that export: imported, silenced, and their errors in one line."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from mmsmlp.engine import runner
from mmsmlp.errors import ExportError


def library(name: str) -> ModuleType:
    """Import a library of the extra ``deploy``.

    Raises:
        ExportError: If it is not installed.
    """
    return runner.library(name, "deploy", ExportError)


@contextmanager
def quiet() -> Iterator[None]:
    """Within, exporters log nothing about their internals."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
