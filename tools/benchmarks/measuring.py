"""Measures subjects in turn, case by case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .machine import describe_machine, describe_software, revision
from .passes import Case
from .results import Run, Store
from .subjects import Subject
from .workers import Failed, Worker, without_folders, worker_pool

# Requests beside the rounds: preparing and peak memory.
EXTRA = 2


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        threads: Of torch.
        rounds: How often everything is measured.
        reference: The title that ratios refer to.
    """

    device: str
    threads: int
    rounds: int
    reference: str | None = None


Results = list[dict[str, Any]]
# Measures a case of several workers, and reports after each step.
Method = Callable[[Sequence[Worker], Case, int, Callable[[], None]], Results]


def measure(
    kind: str,
    subjects: Sequence[Subject],
    cases: Sequence[Case],
    settings: Settings,
    store: Store,
) -> Run:
    """Measure all cases, and write them one by one.

    Args:
        kind: ``'speed'`` or ``'profile'``.
        subjects: Each gets its own process.
        cases: The passes to measure.
        settings: How to measure.
        store: Saves the run, after each case.
    """
    method, steps = METHODS[kind], settings.rounds + EXTRA if kind == "speed" else EXTRA
    run: Run = dict(
        kind=kind,
        machine=describe_machine(settings.device),
        software=describe_software(),
        settings=dict(
            device=settings.device,
            threads=settings.threads,
            rounds=settings.rounds,
            reference=settings.reference,
        ),
        subjects=[description(subject) for subject in subjects],
        limits={},
        cases=[],
    )
    with (
        progress_bar(len(cases) * len(subjects) * steps) as step,
        worker_pool([None, *subjects], settings.device, settings.threads) as (machine, *workers),
    ):
        for case in cases:
            if case.precision not in run["limits"]:
                run["limits"][case.precision] = machine.ask(
                    "rates", precision=case.precision, rounds=settings.rounds
                )
            results = method(
                workers, case, settings.rounds, lambda case=case: step(f"{case.mode} {case.images}")
            )
            run["cases"].append(dict(case.to_dict(), results=results))
            store.write(run)
    return run


def description(subject: Subject) -> dict[str, Any]:
    """Description of a subject in a file."""
    return dict(
        title=subject.title,
        name=Path(subject.name).name if subject.is_config else subject.name,
        with_cp=subject.with_cp,
        compiled=subject.compiled,
        runtime=subject.runtime,
        mini=subject.mini,
        options={key: without_folders(str(value)) for key, value in subject.options.items()},
        revision=revision(Path(subject.checkout)),
    )


def time_in_turn(
    workers: Sequence[Worker], case: Case, rounds: int, step: Callable[[], None]
) -> Results:
    """Seconds of every round: one pass of each subject, then the next round.

    Interleaved, so that machine noise affects all subjects alike.
    """
    results = _prepared(workers, case, step)
    for _ in range(rounds):
        _ask_all(workers, results, "time", step, lambda r, value: r["seconds"].append(value))
    _ask_all(workers, results, "memory", step, lambda r, value: r.update(peak_memory=value))
    return [_outcome(result) for result in results]


def profile_each(
    workers: Sequence[Worker], case: Case, rounds: int, step: Callable[[], None]
) -> Results:
    """Where the time of each goes."""
    results = _prepared(workers, case, step)
    for result in results:
        del result["seconds"]
    _ask_all(workers, results, "profile", step, lambda r, value: r.update(value), rounds=rounds)
    return [_outcome(result) for result in results]


METHODS: dict[str, Method] = {"speed": time_in_turn, "profile": profile_each}


def _prepared(workers: Sequence[Worker], case: Case, step: Callable[[], None]) -> Results:
    results: Results = [dict(subject=w.subject.title, seconds=[]) for w in workers]
    _ask_all(
        workers,
        results,
        "prepare",
        step,
        lambda r, value: r.update(multiply_adds=value),
        case=case.to_dict(),
    )
    return results


def _ask_all(
    workers: Sequence[Worker],
    results: Results,
    request: str,
    step: Callable[[], None],
    keep: Callable[[dict[str, Any], Any], None],
    **arguments: Any,
) -> None:
    """The same request to all that have not failed yet."""
    for worker, result in zip(workers, results, strict=True):
        if "error" not in result:
            try:
                keep(result, worker.ask(request, **arguments))
            except Failed as error:
                result["error"] = str(error)
        step()


def _outcome(result: dict[str, Any]) -> dict[str, Any]:
    """A failure leaves nothing that could be taken for a figure."""
    if "error" in result:
        return dict(subject=result["subject"], error=result["error"])
    return result


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[str], None]]:
    """Shows the progress of a measurement; yields a function to call after each step."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    # Drawn between passes only, by nothing that runs beside them.
    with Progress(*columns, auto_refresh=False) as progress:
        task = progress.add_task("starting", total=total)

        def step(description: str) -> None:
            progress.update(task, advance=1, description=description, refresh=True)

        progress.refresh()
        yield step
