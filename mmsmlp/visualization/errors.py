"""What can go wrong with a picture."""


class PictureError(ValueError):
    """There is nothing to draw; the message says why."""
