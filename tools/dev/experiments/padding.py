"""What it brings to leave padding out in training, on batches of images that differ in size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt

from mmsmlp.launch import markdown_table

from .jobs import Job, is_done
from .training import last_metric, spread, train_job

DATA = ("data/camvid",)
SEEDS = (0, 1, 2)
ITERATIONS = 300
# What `training_padding` is, and what the tables call it.
PADDING = {"kept": "kept", "left_out": "left out", "counted": "left out, counted by norms"}
NETWORKS = {
    "smlpnet": "sMLPNet",
    "swin": "Swin",
    "s2mlpv2": "S²-MLPv2",
    "s2mlp": "S²-MLP",
}
# What is measured, by data set and its name in the logs, in percent.
METRICS = {
    "mini": {"box AP": ("coco/bbox_mAP", 100), "mask AP": ("coco/segm_mAP", 100)},
    "camvid": {"mIoU": ("mIoU", 1)},
}
# In the order in which they run.
TRAININGS = (
    ("mini", "smlpnet", ("kept", "left_out")),
    ("mini", "smlpnet", ("counted",)),
    ("mini", "swin", ("kept",)),
    ("camvid", "smlpnet", ("kept", "left_out", "counted")),
    ("camvid", "swin", ("kept",)),
    ("mini", "s2mlpv2", ("kept", "left_out")),
    ("mini", "s2mlp", ("kept", "left_out")),
)


def jobs(root: Path) -> Iterator[Job]:
    """A training per data set, network, treatment of padding and seed."""
    for data, network, paddings in TRAININGS:
        for seed, padding in product(SEEDS, paddings):
            options = dict(randomness__seed=seed)
            if padding != "kept":
                options |= dict(model__backbone__training_padding=padding)
            if data == "mini":
                options |= dict(
                    train_cfg__max_iters=ITERATIONS,
                    train_cfg__val_interval=ITERATIONS,
                    param_scheduler__1__end=ITERATIONS,
                )
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

    What is not finished is None there.
    """
    done = {job.name for job in jobs(root) if is_done(job, root)}
    figures: dict = {}
    for data, network, paddings in TRAININGS:
        for padding, (name, (metric, factor)) in product(paddings, METRICS[data].items()):
            runs = [folder(data, network, padding, seed) for seed in SEEDS]
            if done.intersection(runs):
                row = figures.setdefault(data, {}).setdefault(network, {}).setdefault(padding, {})
                row[name] = [
                    round(factor * last_metric(root / run, metric), 2) if run in done else None
                    for run in runs
                ]
    return figures


def cell(values: list[float | None]) -> str:
    """Mean and standard deviation of all seeds; each by itself as long as there are not all."""
    if None in values:
        return ", ".join("?" if value is None else f"{value:.1f}" for value in values)
    return spread(values)


def tables(figures: dict) -> list[str]:
    """The figures in Markdown, networks by treatment of padding."""
    metrics = [(data, name) for data in figures for name in METRICS[data]]
    rows = [["network", "padding in training", *(f"{data}, {name}" for data, name in metrics)]]
    for network, padding in product(NETWORKS, PADDING):
        cells = [
            figures[data].get(network, {}).get(padding, {}).get(name) for data, name in metrics
        ]
        if any(cells):
            rows.append(
                [NETWORKS[network], PADDING[padding], *(cell(c) if c else "" for c in cells)]
            )
    return [markdown_table(rows)]


def figure(figures: dict, path: Path) -> None:
    """Every run as a dot, by network and treatment of padding."""
    metrics = [(data, name) for data in figures for name in METRICS[data]]
    fig, axes = plt.subplots(1, len(metrics), figsize=(9, 3.2), layout="constrained", squeeze=False)
    for ax, (data, name) in zip(axes[0], metrics, strict=True):
        networks = [network for network in NETWORKS if network in figures[data]]
        for k, (padding, label) in enumerate(PADDING.items()):
            for position, network in enumerate(networks):
                values = figures[data][network].get(padding, {}).get(name, [])
                values = [value for value in values if value is not None]
                place = position + (k - 1) * 0.22
                ax.scatter([place] * len(values), values, color=f"C{k}", s=14, label=label)
                if values:
                    ax.hlines(mean(values), place - 0.09, place + 0.09, color=f"C{k}")
        ax.set_xticks(range(len(networks)), [NETWORKS[network] for network in networks])
        ax.set_ylabel(f"{data}, {name} (%)")
        ax.grid(axis="y", alpha=0.3)
    handles, labels = axes[0][0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    fig.legend(unique.values(), unique, loc="outside upper center", ncols=len(PADDING))
    fig.savefig(path, dpi=150)
    plt.close(fig)
