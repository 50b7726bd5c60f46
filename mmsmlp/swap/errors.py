"""What stands in the way of a swap."""


class SwapError(Exception):
    """A model cannot take the backbone; the message says why, in a line."""
