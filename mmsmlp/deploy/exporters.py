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


def one_line(error: BaseException) -> str:
    """The first line of an error's message, and its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # An exporter wraps what went wrong in what it was doing.
    if error.__cause__ is not None:
        return one_line(error.__cause__)
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


@contextmanager
def quiet() -> Iterator[None]:
    """Within, exporters say nothing of their own insides."""
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
