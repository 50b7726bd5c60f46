"""Output of a measurement on the terminal."""

from __future__ import annotations

from typing import Any

from mmsmlp.engine.runner import markdown_table

from .limits import best_by_form
from .profiling import GROUPS
from .report import HEAD, Rows, cells_of, duration
from .results import Run, case_of, figures_of

SHOWN_OPERATIONS = 8


def show(run: Run) -> int:
    """Print a run; returns how much of it has failed."""
    for precision, rates in run["limits"].items():
        best = (f"{name} {rate / 1e9:.0f}" for name, rate in best_by_form(rates).items())
        print(f"limit in {precision}, GFLOP/s: {', '.join(best)}")
    failures = 0
    for entry in run["cases"]:
        case = case_of(entry)
        title = f"{case.mode}, {case.precision}, {case.images}"
        speed = run["kind"] == "speed"
        against = f"; times as fast as {run['settings']['reference']}" if speed else ""
        print(f"\n{title}{against}\n")
        print(markdown_table(_speed_rows(run, entry) if speed else _profile_rows(entry)))
        for result in entry["results"]:
            if "operations" in result:
                print(markdown_table(_operation_rows(result)))
            if "error" in result:
                failures += 1
                print(f"{result['subject']}, {title}: {result['error']}")
    return failures


def _speed_rows(run: Run, entry: dict[str, Any]) -> Rows:
    rows = [[title, *cells_of(f)] for title, f in figures_of(run, entry).items()]
    # The multiply-adds of a complete model are unknown.
    columns = [c for c in zip(["network", *HEAD], *rows, strict=True) if any(c[1:])]
    return [list(row) for row in zip(*columns, strict=True)] or [["network", *HEAD]]


def _profile_rows(entry: dict[str, Any]) -> Rows:
    """Groups of all networks."""
    measured = [result for result in entry["results"] if "error" not in result]
    rows = [["where the time goes", *(result["subject"] for result in measured)]]
    for group in GROUPS:
        shares = [(r["groups"][group], sum(r["groups"].values())) for r in measured]
        rows.append([group, *(f"{duration(own)}, {own / total:.0%}" for own, total in shares)])
    return rows


def _operation_rows(result: dict[str, Any]) -> Rows:
    """The operations that take most of a network's time."""
    rows = [[f"operations of {result['subject']}", "shapes", "group", "time", "share"]]
    total = sum(result["groups"].values())
    for operation in result["operations"][:SHOWN_OPERATIONS]:
        seconds = operation["seconds"]
        texts = (operation["name"], operation["shapes"], operation["group"])
        rows.append([*texts, duration(seconds), f"{seconds / total:.0%}"])
    return rows
