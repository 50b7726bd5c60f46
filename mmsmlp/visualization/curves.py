"""Losses and metrics of trainings, from mmengine's logs in their work directories."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mmsmlp.errors import PictureError

from .style import COLOURS, MARKERS, new_figure

# Suffixes of the metrics that are shown by default.
USUAL_METRICS = ("mAP", "mIoU", "top1", "/PQ", "AR@100")
# Logged beside metrics, and none.
NO_METRICS = ("time", "data_time", "step")


@dataclass
class Curves:
    """The logged values of a training.

    Args:
        loss: By iteration.
        metrics: By name, then by iteration, which is that of the last loss before.
    """

    loss: dict[int, float] = field(default_factory=dict)
    metrics: dict[str, dict[int, float]] = field(default_factory=dict)


def read_curves(work_dir: Path) -> Curves:
    """Losses and metrics of a work directory.

    A resumed training has several logs: a later log replaces the earlier ones from its first
    iteration on.

    Args:
        work_dir: Of a training, with ``<time of its start>/vis_data/scalars.json`` in it.

    Raises:
        PictureError: If nothing was logged there, or a log is none.
    """
    curves = Curves()
    for log in sorted(work_dir.glob("*/vis_data/scalars.json")):
        records = _records(log)
        first = next((record["iter"] for record in records if "loss" in record), None)
        if first is not None:
            _cut(curves, first)
        for record in records:
            if "loss" in record:
                curves.loss[record["iter"]] = record["loss"]
            else:
                _add_metrics(curves, record)
    if not curves.loss:
        raise PictureError(
            f"{work_dir} is no work directory of a training: no loss was logged there"
        )
    return curves


def _records(log: Path) -> list[dict]:
    lines = log.read_text(encoding="utf-8").splitlines()
    records = []
    for i, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            if i < len(lines):
                raise PictureError(f"{log}: line {i} is no JSON") from error
            # A training that is killed, or runs, may leave a part of a line.
    return records


def _cut(curves: Curves, first: int) -> None:
    for points in (curves.loss, *curves.metrics.values()):
        for i in [i for i in points if i >= first]:
            del points[i]


def _add_metrics(curves: Curves, record: Mapping[str, float]) -> None:
    # mmengine's step of a validation is the epoch or, with some configs, the iteration.
    last = max(curves.loss, default=0)
    for name, value in record.items():
        if name not in NO_METRICS and isinstance(value, (int, float)):
            curves.metrics.setdefault(name, {})[max(last, record["step"])] = value


def shown_metrics(curves: Sequence[Curves], wanted: Sequence[str] | None = None) -> list[str]:
    """Names of the metrics to draw.

    Args:
        curves: Of some trainings.
        wanted: Names; if None, the usual ones that any of the trainings has.

    Raises:
        PictureError: If none of the trainings has one that is wanted.
    """
    names = list(dict.fromkeys(name for one in curves for name in one.metrics))
    if wanted is None:
        return [name for name in names if name.endswith(USUAL_METRICS)]
    for name in wanted:
        if name not in names:
            raise PictureError(
                f"no metric {name!r} was logged; there are {', '.join(names) or 'none'}"
            )
    return list(wanted)


def draw_curves(curves: Mapping[str, Curves], metrics: Sequence[str]) -> Figure:
    """Loss and metrics over the iterations, a panel each, with a line for each training.

    Args:
        curves: By title.
        metrics: Names of those to draw.
    """
    panels = 1 + len(metrics)
    columns = min(panels, 3)
    rows = ceil(panels / columns)
    figure = new_figure(4.2 * columns, 3.2 * rows + 0.3 * ceil(len(curves) / columns) + 0.1)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes in grid.flat[panels:]:
        axes.axis("off")
    names = ["training loss", *metrics]
    for axes, name in zip(grid.flat, names, strict=False):
        axes.set(xlabel="iteration", ylabel=name)
        axes.grid(alpha=0.3)
    for (title, one), colour, marker in zip(
        curves.items(), cycle(COLOURS), cycle(MARKERS), strict=False
    ):
        loss = np.array(list(one.loss.items()))
        grid.flat[0].plot(*loss.T, color=colour, label=title)
        for axes, name in zip(grid.flat[1:], metrics, strict=False):
            points = np.array(list(one.metrics.get(name, {}).items())).reshape(-1, 2)
            axes.plot(*points.T, color=colour, marker=marker, markersize=5)
    for axes in grid.flat[:panels]:
        highest = max((line.get_ydata().max(initial=0) for line in axes.lines), default=0)
        axes.set(xlim=(0, None), ylim=(0, 1.08 * highest or 1))
    figure.legend(loc="outside lower center", ncols=min(len(curves), columns))
    return figure
