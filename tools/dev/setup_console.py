"""Runs the commands of setup_env.py and shows how far they are."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from setup_checks import SetupError, diagnose


def clock(seconds: float) -> str:
    """Seconds as m:ss."""
    return "{}:{:02d}".format(*divmod(round(seconds), 60))


def ninja_progress(line: str) -> tuple[int, int] | None:
    """The n and m of a line "[n/m] command" from ninja."""
    found = re.match(r"\s*\[(\d+)/(\d+)\]", line)
    return (int(found[1]), int(found[2])) if found else None


class Progress:
    """Shows how far a build is: on a terminal in one line, elsewhere every tenth."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.tenth = 0

    def __call__(self, line: str) -> None:
        """Takes a line of the build's output."""
        found = ninja_progress(line)
        if not found:
            return
        done, total = found
        left = (time.monotonic() - self.started) * (total - done) / max(done, 1)
        report = f"        {done}/{total} files, {100 * done // total} %, {clock(left)} left"
        if sys.stdout.isatty():
            print(f"\r{report}\033[K", end="\n" if done == total else "", flush=True)
        elif 10 * done // total > self.tenth:
            self.tenth = 10 * done // total
            print(report, flush=True)


class Console:
    """Numbered steps with the time so far, and a log for each.

    Args:
        root: Where commands run.
        logs: Folder for the logs.
        steps: How many steps there will be.
        lock: A file that stays locked while one of the commands is alive.
    """

    def __init__(self, root: Path, logs: Path, steps: int, lock: int) -> None:
        self.root = root
        self.logs = logs
        self.steps = steps
        self.lock = lock
        self.started = time.monotonic()
        self.number = 0

    @property
    def elapsed(self) -> str:
        """Time since the first step."""
        return clock(time.monotonic() - self.started)

    def step(self, title: str) -> None:
        """Announces the next step and gives it an empty log."""
        self.number += 1
        print(f"[{self.number}/{self.steps}] {self.elapsed:>5} {title}", flush=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.log = self.logs / f"step{self.number}.log"
        self.log.write_text("")

    def say(self, message: str) -> None:
        """Prints a line that belongs to the current step."""
        print(f"        {message}", flush=True)

    def run(
        self,
        command: list[str],
        on_line: Callable[[str], None] | None = None,
        **environment: str,
    ) -> None:
        """Runs a command with its errors going to the log, and diagnoses its failure.

        Args:
            command: What to run.
            on_line: Takes the lines of its output, which then go to the log; else they are shown.
            environment: Variables to set for it.
        """
        with self.log.open("a") as log:
            child = subprocess.Popen(
                command,
                cwd=self.root,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if on_line else None,
                stderr=subprocess.STDOUT if on_line else log,
                text=True,
                errors="replace",
                pass_fds=[self.lock],
                # Ctrl-C reaches this process alone, which then stops the whole family below it.
                start_new_session=True,
            )
            try:
                for line in child.stdout or ():
                    log.write(line)
                    on_line(line)
                code = child.wait()
            except BaseException:
                stop(child)
                raise
        if code:
            reason = diagnose(self.log.read_text(errors="replace"))
            raise SetupError(f"{reason} (log: {self.log.relative_to(self.root)})")


def stop(child: subprocess.Popen[str]) -> None:
    """Ends a child and all that it started, politely for ten seconds."""
    with contextlib.suppress(ProcessLookupError):  # raised when none is left
        os.killpg(child.pid, signal.SIGINT)
        for _ in range(100):
            time.sleep(0.1)
            child.poll()
            os.killpg(child.pid, 0)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
