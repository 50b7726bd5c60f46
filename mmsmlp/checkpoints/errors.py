"""The error of this package."""


class CheckpointError(ValueError):
    """A checkpoint is not what it should be; the message, one line, says which and why."""
