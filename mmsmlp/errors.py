"""Exceptions of this package; each message is one line that names the fix."""

import traceback
from collections.abc import Iterable


def shorten(names: Iterable[str], count: int = 3) -> str:
    """The first few of many names, and how many more there are, for a message."""
    names = list(names)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return (", ".join(names[:count]) or "nothing") + more


def one_line(error: BaseException) -> str:
    """The type of an error and the first line of its message, or else where it comes from."""
    if error.__cause__ is not None:  # which a library has wrapped in another error
        return one_line(error.__cause__)
    lines = filter(None, map(str.strip, str(error).splitlines()))
    return f"{type(error).__name__}: {next(lines, None) or origin(error)}"


def origin(error: BaseException) -> str:
    """The line of code that failed, and the innermost part of the model that ran it."""
    selves = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    # Torch's modules, without torch: some tools are quick because they leave it out.
    parts = [type(part).__name__ for part in selves if hasattr(part, "named_modules")]
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__)]
    return f"`{lines[-1] if lines else ''}`" + (f" in {parts[-1]}" if parts else "")


class UsageError(Exception):
    """An argument or a config that the user can correct; no traceback is shown."""


class ExportError(UsageError):
    """A model cannot be exported, or a file is not an export."""


class RunError(Exception):
    """A run cannot continue."""

    def __init__(self, message: str) -> None:
        # Where it comes from a process that loads images, torch puts a traceback before it.
        last = message.strip().splitlines()[-1]
        super().__init__(last.removeprefix(f"{__name__}.{type(self).__name__}: "))


class DataError(Exception):
    """Nothing can be trained on a data set."""


class SwapError(Exception):
    """A model cannot take a backbone."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read, written, or loaded into a model."""


class TornCheckpointError(CheckpointError):
    """A file is not a checkpoint or incomplete, so that no weights are lost by replacing it."""


class PictureError(ValueError):
    """There is nothing to draw."""
