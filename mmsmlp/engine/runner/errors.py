"""Errors of tools."""


class UsageError(Exception):
    """Something the user can put right; the message says how, and no traceback is shown."""
