"""CIFAR-10 to CamVid: the effect of pretraining on small networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt

from mmsmlp.engine.runner import markdown_table

from .jobs import Job
from .training import last_metric, spread, train_job

NETWORKS = {
    "smlpnet": "sMLPNet",
    "cyclemlp": "CycleMLP",
    "s2mlpv2": "S²-MLPv2",
    "resnet18": "ResNet-18",
    "swin": "Swin",
}
STARTS = ("scratch", "pretrained")
DATA = ("data/cifar10", "data/camvid")
SEEDS = (0, 1, 2)


def jobs(root: Path, networks: Iterable[str] = tuple(NETWORKS)) -> Iterator[Job]:
    """One pretraining per network, then CamVid from both starts with every seed."""
    for network in networks:
        yield train_job(f"cifar10/{network}", f"cifar10_{network}", root, randomness__seed=SEEDS[0])
    for seed in SEEDS:
        for network in networks:
            yield train_job(
                f"camvid/{network}/scratch/{seed}",
                f"camvid_{network}",
                root,
                randomness__seed=seed,
            )
            yield train_job(
                f"camvid/{network}/pretrained/{seed}",
                f"camvid_{network}",
                root,
                needs=(f"cifar10/{network}",),
                randomness__seed=seed,
                model__backbone__init_cfg__type="Pretrained",
                model__backbone__init_cfg__checkpoint=root / f"cifar10/{network}/epoch_5.pth",
                model__backbone__init_cfg__prefix="backbone.",
            )


def results(root: Path, networks: Iterable[str] = tuple(NETWORKS)) -> dict:
    """Top-1 by network, mIoU by network, start and seed, both in percent."""
    return {
        network: dict(
            top1=last_metric(root / f"cifar10/{network}", "accuracy/top1"),
            **{
                start: [
                    last_metric(root / f"camvid/{network}/{start}/{seed}", "mIoU") for seed in SEEDS
                ]
                for start in STARTS
            },
        )
        for network in networks
    }


def tables(figures: dict) -> list[str]:
    """The figures in Markdown."""
    rows = [
        [
            "network",
            "CIFAR-10 top-1",
            "CamVid mIoU, from scratch",
            "CamVid mIoU, pretrained",
            "gain",
        ],
    ]
    for network in filter(figures.__contains__, NETWORKS):
        row = figures[network]
        gain = mean(row["pretrained"]) - mean(row["scratch"])
        rows.append(
            [
                NETWORKS[network],
                f"{row['top1']:.1f}",
                *(spread(row[s]) for s in STARTS),
                f"{gain:+.1f}",
            ]
        )
    return [markdown_table(rows)]


def figure(figures: dict, path: Path) -> None:
    """Every CamVid run as a dot, by network and start."""
    networks = [network for network in NETWORKS if network in figures]
    fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for start, marker, colour in zip(STARTS, "os", ("0.55", "tab:blue"), strict=True):
        for position, network in enumerate(networks):
            values = figures[network][start]
            label = f"{start}, one run" if position == 0 else None
            ax.scatter([position] * len(values), values, marker=marker, color=colour, label=label)
            ax.hlines(mean(values), position - 0.2, position + 0.2, color=colour)
    ax.set_xticks(range(len(networks)), [NETWORKS[network] for network in networks])
    ax.set_ylabel("CamVid test mIoU (%)")
    ax.grid(axis="y", alpha=0.3)
    fig.legend(loc="outside upper center", ncols=2)
    fig.savefig(path, dpi=150)
    plt.close(fig)
