"""Checks of arguments, whose messages name the argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def is_int(value: Any) -> bool:
    """Whether something is an integer; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_int(name: str, value: Any, minimum: float = 1) -> None:
    """Make sure that an argument is an integer of at least ``minimum``.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is below.
    """
    if not is_int(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")


def check_ints(name: str, values: Any, minimum: float = 1) -> None:
    """Make sure that an argument is a sequence of integers of at least ``minimum``.

    Raises:
        TypeError: If it is something else.
        ValueError: If one of them is below.
    """
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    if not (listed and all(map(is_int, values))):
        raise TypeError(f"{name} must be integers, got {values!r}")
    if any(value < minimum for value in values):
        raise ValueError(f"{name} must each be at least {minimum}, got {values}")


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
