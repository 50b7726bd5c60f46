"""Exceptions of this package; the message of each is one line that says what to change."""

from collections.abc import Iterable


def shorten(names: Iterable[str], count: int = 3) -> str:
    """The first few of many names, and how many more there are, for a message."""
    names = list(names)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return (", ".join(names[:count]) or "nothing") + more


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
