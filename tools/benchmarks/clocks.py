"""Seconds and memory of a pass."""

from __future__ import annotations

import ctypes
import gc
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch


def seconds(run: Callable[[], None], device: str) -> float:
    """How long it takes; on a GPU from the first kernel's start to the last one's end."""
    if device == "cpu":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def peak_memory(run: Callable[[], None], device: str) -> int | None:
    """Additional peak memory in bytes; only on Linux."""
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    try:
        # Memory freed by earlier passes is returned to the system; otherwise it would hide this
        # one's.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    except (OSError, AttributeError):
        return None
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def _resident(entry: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most so far."""
    return int(re.search(rf"{entry}:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
