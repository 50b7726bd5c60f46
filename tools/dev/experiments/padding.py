"""Effect of cropped padding in training, on batches of images that differ in size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt

from mmsmlp.engine.runner import markdown_table

from .jobs import Job, is_done
from .training import last_metric, spread, train_job

DATA = ("data/camvid",)
ITERATIONS = 600
# Values of `training_padding`, and their names in the tables.
PADDING = {"include": "included", "crop": "cropped"}
NETWORKS = {
    "smlpnet": "sMLPNet",
    "swin": "Swin",
    "s2mlpv2": "S²-MLPv2",
    "s2mlp": "S²-MLP",
}
# Metrics, by data set and name in the logs, in percent.
METRICS = {
    "mini": {"box AP": ("coco/bbox_mAP", 100), "mask AP": ("coco/segm_mAP", 100)},
    "camvid": {"mIoU": ("mIoU", 1)},
}
# Data set, network, treatments of padding, number of seeds; in the order in which they run.
TRAININGS = (
    ("mini", "s2mlp", ("include", "crop"), 6),
    ("mini", "s2mlpv2", ("include", "crop"), 6),
    ("mini", "smlpnet", ("include",), 6),
    ("camvid", "smlpnet", ("include",), 10),
    ("mini", "swin", ("include",), 3),
    ("camvid", "swin", ("include",), 3),
)


def jobs(root: Path) -> Iterator[Job]:
    """A training per data set, network, treatment of padding and seed."""
    for data, network, paddings, seeds in TRAININGS:
        for seed, padding in product(range(seeds), paddings):
            options = dict(
                randomness__seed=seed,
                train_cfg__max_iters=ITERATIONS,
                train_cfg__val_interval=ITERATIONS,
                param_scheduler__1__end=ITERATIONS,
            )
            if padding != "include":
                options |= dict(model__backbone__training_padding=padding)
            config, tool = {
                "mini": (f"padding/{network}", "tools/dev/experiments/mixed_sizes.py"),
                "camvid": (f"padding/camvid_{network}", "tools/train.py"),
            }[data]
            yield train_job(
                folder(data, network, padding, seed), config, root, tool=tool, **options
            )


def folder(data: str, network: str, padding: str, seed: int) -> str:
    return f"{data}/{network}/{padding}/{seed}"


def results(root: Path) -> dict:
    """Metrics in percent by data set, network and treatment of padding: a list over seeds.

    Unfinished trainings are None there.
    """
    done = {job.name for job in jobs(root) if is_done(job, root)}
    figures: dict = {}
    for data, network, paddings, seeds in TRAININGS:
        for padding, (name, (metric, factor)) in product(paddings, METRICS[data].items()):
            runs = [folder(data, network, padding, seed) for seed in range(seeds)]
            if done.intersection(runs):
                row = figures.setdefault(data, {}).setdefault(network, {}).setdefault(padding, {})
                row[name] = [
                    round(factor * last_metric(root / run, metric), 2) if run in done else None
                    for run in runs
                ]
    return figures


def cell(values: list[float | None]) -> str:
    """Mean and standard deviation over seeds, and of how many as long as runs are missing."""
    finished = [value for value in values if value is not None]
    missing = len(finished) < len(values)
    return spread(finished) + (f" ({len(finished)} of {len(values)})" if missing else "")


def tables(figures: dict) -> list[str]:
    """In Markdown: networks by treatment of padding, and the change by cropping."""
    metrics = [(data, name) for data in figures for name in METRICS[data]]
    titles = [f"{data}, {name}" for data, name in metrics]
    rows = [["network", "padding in training", *titles]]
    changes = [["network", *titles]]
    for network in NETWORKS:
        found = [
            {padding: row[name] for padding, row in figures[data].get(network, {}).items()}
            for data, name in metrics
        ]
        for padding, label in PADDING.items():
            if any(padding in values for values in found):
                cells = [cell(values[padding]) if padding in values else "" for values in found]
                rows.append([NETWORKS[network], label, *cells])
        if any("crop" in values for values in found):
            changes.append([NETWORKS[network], *(change(values) for values in found)])
    return [markdown_table(rows), markdown_table(changes)]


def change(values: dict[str, list[float | None]]) -> str:
    """By how much cropping padding changed a metric, over pairs of trainings of one seed."""
    pairs = zip(values.get("include", ()), values.get("crop", ()), strict=False)
    changes = [cropped - whole for whole, cropped in pairs if None not in (whole, cropped)]
    if not changes:
        return ""
    gained = sum(change > 0 for change in changes)
    return f"{'+' * (mean(changes) >= 0)}{spread(changes)}, more in {gained} of {len(changes)}"


def figure(figures: dict, path: Path) -> None:
    """Every run as a dot, by network and treatment of padding."""
    metrics = [(data, name) for data in figures for name in METRICS[data]]
    fig, axes = plt.subplots(
        1, len(metrics), figsize=(10, 3.2), layout="constrained", squeeze=False
    )
    for ax, (data, name) in zip(axes[0], metrics, strict=True):
        networks = [network for network in NETWORKS if network in figures[data]]
        for k, (padding, label) in enumerate(PADDING.items()):
            for position, network in enumerate(networks):
                values = figures[data][network].get(padding, {}).get(name, [])
                values = [value for value in values if value is not None]
                place = position + (k - 0.5) * 0.22
                ax.scatter([place] * len(values), values, color=f"C{k}", s=14, label=label)
                if values:
                    ax.hlines(mean(values), place - 0.09, place + 0.09, color=f"C{k}")
        names = [NETWORKS[network] for network in networks]
        ax.set_xticks(range(len(networks)), names, fontsize="small")
        ax.set_xlim(-0.5, len(networks) - 0.5)
        ax.set_ylabel(f"{data}, {name} (%)")
        ax.grid(axis="y", alpha=0.3)
    handles, labels = axes[0][0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    fig.legend(unique.values(), unique, loc="outside upper center", ncols=len(PADDING))
    fig.savefig(path, dpi=150)
    plt.close(fig)
