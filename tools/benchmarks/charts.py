"""Pictures of a measurement: time against the size of images, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from mmsmlp.visualization.style import COLOURS, MARKERS

from .passes import MODES, PRECISIONS, Case
from .profiling import GROUPS
from .results import Figures, Profile, Run, profiles, speeds

GROUP_COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#999999")
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
# Sizes whose ratio is below this share a label.
NEAR = 1.1
# Narrower parts of a bar have no room for a number.
LABELLED_SHARE = 0.06


def draw_charts(
    runs: Sequence[Run], device: str, folder: Path, only: Sequence[str] | None = None
) -> list[Path]:
    """Draw charts of the runs of a device.

    Args:
        runs: Those of a file.
        device: ``'cpu'`` or ``'cuda'``.
        folder: Where to write.
        only: Names of the pictures to write; all if None.

    Returns:
        The written files.
    """
    written = []
    for name, figure in _charts(runs, device):
        if only is None or name in only:
            figure.savefig(folder / name, dpi=110)
            written.append(folder / name)
        plt.close(figure)
    return written


def _charts(runs: Sequence[Run], device: str) -> Iterator[tuple[str, Figure]]:
    for mode in MODES:
        for precision in PRECISIONS:
            found = {
                case: figures
                for case, figures in speeds(runs, device).items()
                if case.batch == 1 and (case.mode, case.precision) == (mode, precision)
            }
            if len(found) > 1:
                heading = f"{mode}, {precision}, {DEVICES[device]}, one image"
                yield f"latency_{device}_{mode}_{precision}.png", latency(found, heading)
    for case, by_title in profiles(runs, device).items():
        name = f"profile_{device}_{case.mode}_{case.precision}_{case.images.replace(' ', '_')}.png"
        heading = f"{case.mode}, {case.precision}, {DEVICES[device]}, {case.images}"
        yield name, time_by_group(by_title, heading)


def latency(found: Mapping[Case, Mapping[str, Figures]], heading: str) -> Figure:
    """Time of an image, and of a pixel, over the size; a level line costs the same for each."""
    cases = sorted(found, key=lambda case: case.size[0] * case.size[1])
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    titles = list(dict.fromkeys(title for case in cases for title in found[case]))
    bases = [title for title in titles if _base(title, titles) == title]
    for title in titles:
        there = [case for case in cases if title in found[case]]
        pixels = [case.size[0] * case.size[1] for case in there]
        seconds = [found[case][title].seconds for case in there]
        place = bases.index(_base(title, titles)) % len(COLOURS)
        style = dict(
            color=COLOURS[place],
            marker=MARKERS[place],
            markersize=5,
            linestyle="-" if title in bases else "--",
            label=title,
        )
        axes[0].plot(pixels, [s * 1000 for s in seconds], **style)
        axes[1].plot(pixels, [s / p * 1e9 for s, p in zip(seconds, pixels, strict=True)], **style)
    axes[0].set_ylabel("time of an image (ms)")
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[0].yaxis.set_minor_locator(NullLocator())
    axes[0].set_title(heading, loc="left")
    axes[1].set_ylabel("time of a pixel (ns)")
    axes[1].set_ylim(bottom=0)
    axes[1].set_title("a level line: cost grows as the image does", loc="left")
    for ax in axes:
        _show_sizes(ax, cases)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _base(title: str, titles: Sequence[str]) -> str:
    """The network of which another subject is a variant, such as "… before"."""
    return next((other for other in titles if title.startswith(other + " ")), title)


def _show_sizes(ax: Axes, cases: Sequence[Case]) -> None:
    names: dict[int, str] = {}
    for case in cases:
        name = f"{case.size[0]}x{case.size[1]}"
        pixels = case.size[0] * case.size[1]
        near = next((other for other in names if pixels < NEAR * other), None)
        if near is None:
            names[pixels] = name
        elif name not in names[near]:
            names[near] += f"\n{name}"
    ax.set_xscale("log")
    ax.set_xticks(list(names), names.values(), rotation=40, ha="right", rotation_mode="anchor")
    ax.set_xticks([], minor=True)
    ax.set_xlabel("size of the image (pixels)")
    ax.grid(alpha=0.3)


def time_by_group(found: Mapping[str, Profile], heading: str) -> Figure:
    """A bar for each network, divided by the shares of its time."""
    figure, ax = plt.subplots(figsize=(10, 2.2 + 0.6 * len(found)), layout="constrained")
    titles = list(found)
    ends = [0.0] * len(titles)
    for group, colour in zip(GROUPS, GROUP_COLOURS, strict=True):
        widths = [found[title].groups[group] * 1000 for title in titles]
        bars = ax.barh(
            titles, widths, left=ends, color=colour, label=group, edgecolor="white", height=0.7
        )
        totals = [sum(found[title].groups.values()) * 1000 for title in titles]
        shares = [w / total for w, total in zip(widths, totals, strict=True)]
        ax.bar_label(
            bars,
            [f"{share:.0%}" if share >= LABELLED_SHARE else "" for share in shares],
            label_type="center",
            color="white" if group == GROUPS[0] else "black",
        )
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    label = "all multiply-adds at the machine's limit"
    for place, profile in enumerate(found.values()):
        if profile.at_limit is not None:
            x = profile.at_limit * 1000
            ax.plot([x, x], [place - 0.45, place + 0.45], color="black", lw=2.5, label=label)
            label = None
    ax.invert_yaxis()
    ax.set_xlabel("time of a pass (ms), as profiled")
    ax.set_title(heading, loc="left")
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4)
    return figure
