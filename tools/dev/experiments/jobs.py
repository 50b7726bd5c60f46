"""Commands that wait for each other, run side by side, and are not run twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@dataclass(frozen=True)
class Job:
    """A Python command and the folder that holds all that comes of it.

    Args:
        name: Path of the folder below the experiment's own.
        command: Arguments of the Python interpreter.
        needs: Names of the jobs that must be finished before.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()


class JobFailed(Exception):
    """A command ended with an error; the message names its log."""


def is_done(job: Job, root: Path) -> bool:
    """Whether the same command has come to its end before."""
    marker = root / job.name / "done.json"
    return marker.exists() and json.loads(marker.read_text())["command"] == list(job.command)


def run_jobs(jobs: Sequence[Job], root: Path, workers: int) -> None:
    """Run unfinished jobs, each command with one thread and a log in its folder.

    Args:
        jobs: In the order of preference.
        root: The experiment's folder.
        workers: How many commands run at a time.

    Raises:
        JobFailed: If a command fails. Those that run beside it are brought to their end.
    """
    by_name = {job.name: job for job in jobs}
    sorter = TopologicalSorter({job.name: job.needs for job in jobs})
    sorter.prepare()
    processes: set[subprocess.Popen] = set()
    running: dict[Future, str] = {}
    # Jobs that become ready late still keep their place in the order.
    ready: list[str] = []
    position = {job.name: i for i, job in enumerate(jobs)}
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    pool = ThreadPoolExecutor(workers)
    try:
        with Progress(*columns) as progress:
            task = progress.add_task(root.name, total=len(jobs))
            while sorter.is_active():
                ready = sorted([*ready, *sorter.get_ready()], key=position.__getitem__)
                while ready and len(running) < workers:
                    job = by_name[ready.pop(0)]
                    running[pool.submit(_run, job, root, processes, progress)] = job.name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    sorter.done(running.pop(future))
                    progress.advance(task)
    except KeyboardInterrupt:
        for process in processes.copy():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _run(job: Job, root: Path, processes: set[subprocess.Popen], progress: Progress) -> None:
    if is_done(job, root):
        return
    folder = root / job.name
    folder.mkdir(parents=True, exist_ok=True)
    progress.print(f"{job.name} ...")
    start = time.monotonic()
    with open(folder / "log.txt", "a") as log:
        process = subprocess.Popen(
            [sys.executable, *job.command],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        processes.add(process)
        code = process.wait()
        processes.remove(process)
    if code:
        raise JobFailed(f"{job.name} ended with exit code {code}; see {folder / 'log.txt'}")
    seconds = round(time.monotonic() - start)
    marker = folder / "done.json"
    marker.write_text(json.dumps(dict(command=job.command, seconds=seconds)))
    progress.print(f"{job.name} done in {seconds} s")
