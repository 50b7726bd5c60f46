"""What makes data useless."""


class DataError(Exception):
    """Nothing can be trained on the data as they are; the message says why, in a line."""
