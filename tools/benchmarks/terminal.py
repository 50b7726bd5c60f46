"""Output of a measurement on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from .limits import best_by_form
from .profiling import GROUPS
from .report import HEAD, cells_of, duration
from .results import Run, case_of, figures_of

SHOWN_OPERATIONS = 8


def show(run: Run, console: Console) -> int:
    """Print a run; returns how much of it has failed."""
    for precision, rates in run["limits"].items():
        best = (f"{name} {rate / 1e9:.0f}" for name, rate in best_by_form(rates).items())
        console.print(f"limit in {precision}, GFLOP/s: {', '.join(best)}")
    failures = 0
    for entry in run["cases"]:
        case = case_of(entry)
        title = f"{case.mode}, {case.precision}, {case.images}"
        table = _speed_table(run, entry) if run["kind"] == "speed" else _profile_table(entry)
        table.title = title
        console.print(table)
        for result in entry["results"]:
            if "operations" in result:
                console.print(_operation_table(result))
            if "error" in result:
                failures += 1
                console.print(f"{result['subject']}, {title}: {result['error']}", markup=False)
    return failures


def _speed_table(run: Run, entry: dict[str, Any]) -> Table:
    rows = [[title, *cells_of(f)] for title, f in figures_of(run, entry).items()]
    # The multiply-adds of a complete model are unknown.
    columns = [c for c in zip(["network", *HEAD], *rows, strict=True) if any(c[1:])]
    table = Table(caption=f"times as fast as {run['settings']['reference']}")
    for head, *_ in columns:
        table.add_column(head, overflow="fold")
    for row in zip(*(cells for _, *cells in columns), strict=True):
        table.add_row(*row)
    return table


def _profile_table(entry: dict[str, Any]) -> Table:
    """Groups of all networks."""
    measured = [result for result in entry["results"] if "error" not in result]
    table = Table("where the time goes", *(result["subject"] for result in measured))
    for group in GROUPS:
        cells = []
        for result in measured:
            seconds, total = result["groups"][group], sum(result["groups"].values())
            cells.append(f"{duration(seconds)}  {seconds / total:4.0%}")
        table.add_row(group, *cells)
    return table


def _operation_table(result: dict[str, Any]) -> Table:
    """The operations that take most of a network's time."""
    table = Table(f"operations of {result['subject']}", "shapes", "group", "time", "share")
    total = sum(result["groups"].values())
    for operation in result["operations"][:SHOWN_OPERATIONS]:
        seconds = operation["seconds"]
        texts = (operation["name"], operation["shapes"], operation["group"])
        table.add_row(*texts, duration(seconds), f"{seconds / total:.0%}")
    return table
