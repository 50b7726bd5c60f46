"""A pool of worker processes, one for each subject, which answer one at a time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .subjects import ROOT, Subject

TOOLS = Path(__file__).parents[1]


class Failed(Exception):
    """A subject cannot be measured; the message is a line."""


def without_folders(text: str) -> str:
    """A text with nothing left of absolute paths but their last parts."""
    return re.sub(r"(?<![\w.:/])/(?:[^\s/'\"]+/)+", "", text)


class Worker:
    """A process with a subject in it, started when first asked.

    Args:
        subject: The subject; None for the machine alone.
        device: ``'cpu'`` or ``'cuda'``.
        threads: Of torch.
    """

    def __init__(self, subject: Subject | None, device: str, threads: int) -> None:
        self.subject = subject
        self.settings = dict(subject=subject and subject.to_dict(), device=device, threads=threads)
        self.process: subprocess.Popen | None = None

    def ask(self, request: str, **arguments: Any) -> Any:
        """Send a request and wait for its result.

        Args:
            request: A method of :class:`benchmarks.worker.RequestHandler`.
            arguments: Its arguments.

        Raises:
            Failed: If it ended in an error, or the process did; the next request starts another.
        """
        if self.process is None:
            self._start()
        try:
            print(json.dumps([request, arguments]), file=self.process.stdin, flush=True)
            reply = json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            raise Failed(without_folders(self._last_words())) from None
        if "error" in reply:
            raise Failed(without_folders(reply["error"]))
        return reply["value"]

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None
            self.errors.close()

    def _start(self) -> None:
        checkout = self.subject.checkout if self.subject else str(ROOT)
        threads = str(self.settings["threads"])
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            # A checkout reads its own configs; Python looks there first.
            cwd=None if checkout == str(ROOT) else checkout,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([checkout, str(TOOLS)]),
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
            },
            # A Ctrl-C is for the parent, which ends its workers.
            start_new_session=True,
        )

    def _last_words(self) -> str:
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().split("\n")
        self.close()
        if code < 0:
            return f"its process was killed by signal {-code}; perhaps memory ran out"
        return next((line for line in reversed(lines) if line.strip()), f"exit code {code}")


@contextmanager
def worker_pool(
    subjects: Sequence[Subject | None], device: str, threads: int
) -> Iterator[list[Worker]]:
    """Start a worker for each subject, and end all of them."""
    workers = [Worker(subject, device, threads) for subject in subjects]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()
