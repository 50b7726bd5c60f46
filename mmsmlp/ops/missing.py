"""One line for a missing operator: who needs it, and how to get it."""

import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from typing import Any, NoReturn

from torch import nn

COMPILE = "MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --force-reinstall"


def missing_operator(name: str) -> Callable[..., NoReturn]:
    """A function instead of the operator, because mmcv looks up all of them at import."""

    def missing(*args: Any, **kwargs: Any) -> NoReturn:
        raise_missing(name)

    return missing


def raise_missing(name: str) -> NoReturn:
    """Raises NotImplementedError for an operator, or one of its options.

    Args:
        name: As the message shall name it.
    """
    distributions = packages_distributions().get("mmcv", ["onedl-mmcv"])
    package = distributions[0].removesuffix("-lite")
    part = calling_part()
    needed = f", which {part} needs," if part else ""
    raise NotImplementedError(
        f"mmcv's operator {name}{needed} is not in mmsmlp.ops: compile mmcv, by "
        f"{COMPILE} --no-deps {package}"
    )


def calling_part() -> str | None:
    """The class of the innermost module of a model that is being run, but mmcv's own."""
    frame = sys._getframe()
    while frame:
        caller = frame.f_locals.get("self")
        if isinstance(caller, nn.Module) and not type(caller).__module__.startswith("mmcv.ops"):
            return type(caller).__name__
        frame = frame.f_back
    return None
