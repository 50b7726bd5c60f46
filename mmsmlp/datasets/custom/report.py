"""Findings, a line each, and values as files hold them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import compress
from math import isfinite
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from mmsmlp.errors import DataError, shorten

T, S = TypeVar("T"), TypeVar("S")
LARGEST = 1e9
FLAGS = {
    **dict.fromkeys(("", "0", "0.0", "false", "no", "none", "null"), False),
    **dict.fromkeys(("1", "1.0", "true", "yes"), True),
}


class Report(list):
    """Findings, such as ``'left out: boxes outside of their image: 2 (id 3, id 7)'``."""

    def note(self, what: str, culprits: Iterable[Any]) -> None:
        """Add a line with the number of culprits and the first names, if there are any."""
        if names := [printable(str(culprit)) for culprit in culprits]:
            self.append(f"{what}: {len(names)} ({shorten(names)})")

    def keep(self, items: Iterable[T], faults: dict[str, Callable[[T], bool]]) -> list[T]:
        """Items without a fault; a line for each fault counts the dropped ones."""
        items = list(items)
        for what, is_bad in faults.items():
            bad = [is_bad(item) for item in items]
            self.note(f"left out: {what}", compress(items, bad))
            items = [item for item, is_out in zip(items, bad, strict=True) if not is_out]
        return items

    def error(self, what: str) -> DataError:
        """An error that ends with the findings that led to it."""
        return DataError("; ".join([what, *self]))


def read_all(read: Callable[[S], T], items: Collection[S], what: str) -> list[T]:
    """Read files side by side, below a progress bar."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(read, items)
        return list(track(found, what, len(items), console=Console(stderr=True), transient=True))


def printable(text: str, most: int = 80) -> str:
    """Text in one line, with escapes for unprintable characters."""
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
    is_simple = value is None or isinstance(value, str | int | float)
    return FLAGS.get(str(value).strip().lower()) if is_simple else None


def key(value: Any) -> int | str | None:
    """An id: ``'7'`` and ``7.0`` are 7. None for other values."""
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
