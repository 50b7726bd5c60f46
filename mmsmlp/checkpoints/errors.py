"""The errors of this package."""


class CheckpointError(ValueError):
    """A checkpoint is not what it should be; the message, one line, says which and why."""


class TornCheckpointError(CheckpointError):
    """A file is no checkpoint or not all of one, so that there is nothing in it to lose."""
