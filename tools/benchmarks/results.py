"""The file of a measurement, and the figures computed from it.

A file is a list of runs. A run has its machine, software, settings and limits, and for each case
the measurements of each subject: the seconds of all rounds, or the groups of a profile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from .limits import limit_of
from .passes import Case

Run = dict[str, Any]


class ResultsError(Exception):
    """A file cannot be read or written; the message is a line."""


def read_runs(path: Path) -> list[Run]:
    """The runs of a file.

    Raises:
        ResultsError: If it is none.
    """
    try:
        document = json.loads(path.read_text())
        return list(document["runs"])
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ResultsError(f"{path} is not a file of this tool") from error


class Store:
    """A file that a run is added to while it is measured.

    Args:
        path: The file, which may have runs already; nothing is kept if None.

    Raises:
        ResultsError: If it cannot be written, or is something else.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.before = read_runs(path) if path is not None and path.exists() else []
        if path is not None and not os.access(path.parent, os.W_OK):
            raise ResultsError(f"{path} cannot be written: no such folder, or no permission")

    def write(self, run: Run) -> None:
        """Write the file again atomically, with this run as the last one."""
        if self.path is None:
            return
        text = json.dumps(dict(runs=[*self.before, run]), indent=1, ensure_ascii=False) + "\n"
        beside = self.path.with_name(self.path.name + ".part")
        beside.write_text(text)
        beside.replace(self.path)


@dataclass(frozen=True)
class Figures:
    """Measurements of a subject in a case.

    Args:
        seconds: Median over the rounds.
        quartiles: The first and the third.
        ratio: How many times as fast as the reference, median of the ratios by round.
        reference: The title of that one.
        rate: FLOP/s, if the multiply-adds are known.
        share: Of the machine's limit, likewise.
        memory: Bytes at most, if known.
    """

    seconds: float
    quartiles: tuple[float, float]
    ratio: float | None
    reference: str
    rate: float | None
    share: float | None
    memory: int | None


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The first and the third."""
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = quantiles(values, n=4, method="inclusive")
    return first, third


def ratio_by_round(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """How many times as fast as the reference: the median over the rounds."""
    return median(other / own for own, other in zip(seconds, reference, strict=True))


def figures_of(run: Run, case: Mapping[str, Any]) -> dict[str, Figures]:
    """Figures from the rounds of a case, by title; without subjects that failed."""
    rounds = {r["subject"]: r for r in case["results"] if "error" not in r}
    reference = run["settings"]["reference"]
    rates = run["limits"].get(case["precision"])
    found = {}
    for title, result in rounds.items():
        seconds = median(result["seconds"])
        adds = result["multiply_adds"]
        rate = None if adds is None else 2 * adds / seconds
        found[title] = Figures(
            seconds=seconds,
            quartiles=quartiles(result["seconds"]),
            ratio=(
                ratio_by_round(result["seconds"], rounds[reference]["seconds"])
                if reference in rounds
                else None
            ),
            reference=reference,
            rate=rate,
            share=rate / limit_of(rates) if rate and rates else None,
            memory=result["peak_memory"],
        )
    return found


def runs_of(runs: Sequence[Run], kind: str, device: str) -> Iterator[Run]:
    """Those of a kind, ``'speed'`` or ``'profile'``, on a device."""
    for run in runs:
        if run["kind"] == kind and run["settings"]["device"] == device:
            yield run


def speeds(runs: Sequence[Run], device: str) -> dict[Case, dict[str, Figures]]:
    """All figures of a device by case and title; of the same thing, those measured last."""
    found: dict[Case, dict[str, Figures]] = {}
    for run in runs_of(runs, "speed", device):
        for case in run["cases"]:
            found.setdefault(case_of(case), {}).update(figures_of(run, case))
    return found


@dataclass(frozen=True)
class Profile:
    """Where the time of a subject goes.

    Args:
        groups: Seconds of a pass by group.
        at_limit: Seconds that its products would take at the machine's limit, if known.
    """

    groups: dict[str, float]
    at_limit: float | None


def profiles(runs: Sequence[Run], device: str) -> dict[Case, dict[str, Profile]]:
    """All profiles of a device by case and title; of the same thing, those measured last."""
    found: dict[Case, dict[str, Profile]] = {}
    for run in runs_of(runs, "profile", device):
        for case in run["cases"]:
            limit = limit_of(run["limits"][case["precision"]])
            for result in case["results"]:
                if "error" not in result:
                    adds = result["multiply_adds"]
                    profile = Profile(result["groups"], adds and 2 * adds / limit)
                    found.setdefault(case_of(case), {})[result["subject"]] = profile
    return found


def case_of(entry: Mapping[str, Any]) -> Case:
    """The case of an entry of a run."""
    return Case.from_dict({key: entry[key] for key in ("mode", "precision", "size", "batch")})
