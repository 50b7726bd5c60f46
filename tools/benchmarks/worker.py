"""The process that measures one subject: it reads requests and writes replies, a line of JSON each.

:class:`benchmarks.workers.Worker` starts it with the checkout first on the path.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from .clocks import peak_memory, seconds
from .limits import measure_rates
from .passes import Case, NetworkPass
from .profiling import profile_passes
from .subjects import Subject

WARM_UPS = 2
# Of the subject before, threads that wait for work keep a core busy for a moment.
SETTLING = 0.02


class RequestHandler:
    """Requests to a worker, a method each.

    Args:
        subject: The subject; None for the machine alone.
        device: ``'cpu'`` or ``'cuda'``.
        threads: Of torch.
    """

    def __init__(self, subject: dict[str, Any] | None, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.device = device
        self.subject = subject and Subject(**subject)
        self.work: Any = None

    def prepare(self, case: dict[str, Any]) -> int | None:
        """Build missing parts and warm up; returns the multiply-adds of a pass."""
        if self.work is None:
            self._check_checkout()
            if self.subject.is_config:
                from .models import ModelPass

                self.work = ModelPass(self.subject, self.device)
            elif self.subject.runtime:
                from .exported import ExportedPass

                self.work = ExportedPass(self.subject, self.device)
            else:
                self.work = NetworkPass(self.subject, self.device)
        self.work.prepare(Case.from_dict(case))
        for _ in range(WARM_UPS):
            self.time()
        return self.work.multiply_adds()

    def time(self) -> float:
        """Seconds of a pass."""
        time.sleep(SETTLING)
        data = self.work.fetch()
        taken = seconds(lambda: self.work.run(data), self.device)
        self.work.finish()
        return taken

    def memory(self) -> int | None:
        """Bytes that a pass takes at most."""
        data = self.work.fetch()
        peak = peak_memory(lambda: self.work.run(data), self.device)
        self.work.finish()
        return peak

    def profile(self, rounds: int) -> dict[str, Any]:
        """Where the time of a pass goes."""
        return profile_passes(self.work, self.device, rounds)

    def rates(self, precision: str, rounds: int) -> dict[str, dict[str, float]]:
        """How fast the machine multiplies matrices."""
        return measure_rates(self.device, precision, rounds)

    def _check_checkout(self) -> None:
        import mmsmlp

        found = Path(mmsmlp.__file__).resolve().parents[1]
        if found != Path(self.subject.checkout).resolve():
            raise ImportError(f"mmsmlp comes from {found}, not from {self.subject.checkout}")


def main() -> None:
    # Output of libraries goes to stderr, and replies to a separate stream.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    handler = RequestHandler(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        request, arguments = json.loads(line)
        try:
            reply = dict(value=getattr(handler, request)(**arguments))
        except Exception as error:  # any error of a network is a result, too
            reply = dict(error=f"{type(error).__name__}: {' '.join(str(error).split())}")
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
