"""Trainings as jobs, and their metrics."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from .jobs import Job


def train_job(
    name: str,
    config: str,
    root: Path,
    needs: tuple[str, ...] = (),
    tool: str = "tools/train.py",
    **options: Any,
) -> Job:
    """Training of a config from `configs/experiments`, which can be resumed.

    Args:
        name: Of the job.
        config: Name of the config.
        root: The experiment's folder.
        needs: Names of the jobs that must be finished before.
        tool: The training tool.
        options: Arguments of `--cfg-options`, with `__` for the dots of a key.
    """
    settings = [f"{key.replace('__', '.')}={value}" for key, value in options.items()]
    return Job(
        name,
        (
            tool,
            f"configs/experiments/{config}.py",
            "--resume",
            "--work-dir",
            str(root / name),
            "--cfg-options",
            *settings,
        ),
        needs,
    )


def last_metric(folder: Path, metric: str) -> float:
    """The newest value of a metric in the logs of a training."""
    values = [
        record[metric]
        for log in sorted(folder.glob("*/vis_data/scalars.json"))
        for record in map(json.loads, log.read_text().splitlines())
        if metric in record
    ]
    return values[-1]


def spread(values: list[float]) -> str:
    """Mean and standard deviation over runs; for one run, its value."""
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
