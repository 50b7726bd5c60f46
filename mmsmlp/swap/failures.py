"""Errors of other libraries, in one line."""

import re
import traceback

from torch import nn

# What Python and OpenMMLab's models say of a package that is not there.
MISSING = re.compile(r"No module named '(\w+)|(\w+) is not installed|pip install [\"`']?(\w[\w-]*)")


def missing_package(error: Exception) -> str | None:
    """The package for want of which something failed, if that was the reason."""
    found = MISSING.search(str(error))
    return found and next(filter(None, found.groups()))


def one_line(error: Exception) -> str:
    """The type of an error and what it says, in a line; if that is nothing, where it comes from."""
    return f"{type(error).__name__}: {' '.join(str(error).split()) or origin(error)}"


def origin(error: Exception) -> str:
    """The line of code that failed, and the innermost part of the model that ran it."""
    selves = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    parts = [type(part).__name__ for part in selves if isinstance(part, nn.Module)]
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"`{last.line}`" + (f" in {parts[-1]}" if parts else "")
