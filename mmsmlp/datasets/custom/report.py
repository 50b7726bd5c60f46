"""Findings, a line each, and values as files hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from math import isfinite
from typing import Any

import numpy as np

from mmsmlp.checkpoints import few
from mmsmlp.errors import DataError

LARGEST = 1e9
NO, YES = ("", "0", "0.0", "false", "no", "none", "null"), ("1", "1.0", "true", "yes")


class Report(list):
    """Findings, such as ``'left out: boxes outside of their image: 2 (id 3, id 7)'``."""

    def note(self, what: str, culprits: Iterable[Any]) -> None:
        """Add a line with the number of culprits and the first names, if there are any."""
        if names := [printable(str(culprit)) for culprit in culprits]:
            self.append(f"{what}: {len(names)} ({few(names)})")

    def error(self, what: str) -> DataError:
        """An error that ends with the findings that led to it."""
        return DataError("; ".join([what, *self]))


class Table:
    """Columns of the same length: arrays, with the findings about their rows.

    Args:
        report: Takes the findings.
        id: Names of the rows.
        columns: The others.
    """

    def __init__(self, report: Report, id: Iterable[Any], **columns: Iterable[Any]) -> None:
        self.report = report
        self.id = np.fromiter(id, object)
        for name, values in columns.items():
            setattr(self, name, np.fromiter(values, object))

    def __len__(self) -> int:
        return len(self.id)

    def note(self, what: str, rows: np.ndarray) -> None:
        """Add a line about some rows, ``(N,)`` booleans."""
        self.report.note(what, self.id[rows])

    def leave_out(self, what: str, rows: np.ndarray) -> None:
        """Leave out some rows, ``(N,)`` booleans, and say so unless there is nothing to say."""
        rows = np.asarray(rows, bool)
        if what:
            self.note(f"left out: {what}", rows)
        for name, column in vars(self).items():
            if name != "report":
                setattr(self, name, column[~rows])


def printable(text: str, most: int = 80) -> str:
    """Text in one line, with escapes for what a terminal cannot show."""
    text = text if len(text) <= most else text[:most] + "…"
    return text if text.isprintable() else ascii(text)[1:-1]


def number(value: Any) -> float | None:
    """A finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) and abs(found) < LARGEST else None


def numbers(value: Any) -> list[float] | None:
    """A list of numbers, also one written as text with commas or spaces; None for others."""
    if isinstance(value, str):
        value = re.split(r"[\s,;]+", value.strip(" \t\n[]()"))
    found = [number(item) for item in value] if isinstance(value, list) else [None]
    return None if None in found else found


def flag(value: Any) -> bool | None:
    """Yes or no, in any spelling; nothing is no. None if it is neither."""
    text = str(value).strip().lower() if isinstance(value, str | int | float) else value
    return False if text is None or text in NO else True if text in YES else None


def key(value: Any) -> int | str | None:
    """An id: ``'7'`` and ``7.0`` are 7. None for what cannot be one."""
    found = number(value)
    if found is not None and found == int(found):
        return int(found)
    return value if isinstance(value, str) and value else None


def held_out(names: Iterable[str], share: float) -> set[str]:
    """A share of names, to evaluate on, the same each time and on each machine.

    The order is that of a hash, so that hardly a name changes sides when others are added.

    Raises:
        DataError: If there are not two.
    """
    names = sorted(set(names), key=lambda n: sha256(n.encode(errors="surrogatepass")).digest())
    if len(names) < 2:
        raise DataError("one image cannot be divided into some to train on and some to evaluate on")
    return set(names[: min(max(round(share * len(names)), 1), len(names) - 1)])


def is_plain_line(name: str) -> bool:
    """Whether a name can be a line of a list in UTF-8."""
    return name == name.strip() and name.isprintable()
