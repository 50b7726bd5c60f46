"""What ends a run."""


class RunError(Exception):
    """A run cannot go on; the message, one line, says where, why, and what to do."""

    def __init__(self, message: str) -> None:
        # Where it comes from a process that loads images, torch puts a traceback before it.
        last = message.strip().splitlines()[-1]
        super().__init__(last.removeprefix(f"{__name__}.{type(self).__name__}: "))
