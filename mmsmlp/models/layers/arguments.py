"""Checks of arguments, whose messages name the argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def is_whole(value: Any) -> bool:
    """Whether something is an integer; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: float = 1) -> None:
    """Make sure that an argument is an integer of at least ``least``.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is below.
    """
    if not is_whole(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def check_wholes(name: str, values: Any, least: float = 1) -> None:
    """Make sure that an argument is a sequence of integers of at least ``least``.

    Raises:
        TypeError: If it is something else.
        ValueError: If one of them is below.
    """
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    if not (listed and all(map(is_whole, values))):
        raise TypeError(f"{name} must be integers, got {values!r}")
    if any(value < least for value in values):
        raise ValueError(f"{name} must each be at least {least}, got {values}")


def check_positive(name: str, value: Any) -> None:
    """Make sure that an argument is a finite number above zero.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is not above zero, or not finite.
    """
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be finite and above 0, got {value}")
