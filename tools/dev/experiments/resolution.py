"""What becomes of a network away from its native size, under every axial mode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt

from mmsmlp.engine.runner import markdown_table
from mmsmlp.models.layers import AXIAL_MODES

from .jobs import Job
from .sizes import SIZES, label
from .training import last_metric, spread, train_job

DATA = ("data/cifar10", "data/camvid")
SEEDS = (0, 1, 2)
# How the classifiers were trained: the config of each.
PRETRAININGS = {"native": "cifar10_smlpnet", "multi": "cifar10_smlpnet_multi"}
EPOCHS = 5
PRETRAINED_AT = {"native": "32x32", "multi": "24x24 to 64x64"}
# Trained on there for longer, and with all seeds; at the other sizes with one.
TUNED_SIZE = (64, 64)
DEFAULT_MODE = "resample"
STARTS = ("pretrained", "scratch")
# What `sizes.py` measures, and what it is called.
NETWORKS = {mode: f"`{mode}`" for mode in AXIAL_MODES} | {
    "stretched": "`resample`, convolutions stretched"
}
# The second one has been trained in one mode.
TESTED = {"native": tuple(NETWORKS), "multi": (DEFAULT_MODE,)}
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red")


def checkpoint(root: Path, pretraining: str, seed: int) -> Path:
    return root / f"pretrain/{pretraining}/{seed}/epoch_{EPOCHS}.pth"


def jobs(root: Path) -> Iterator[Job]:
    """Classifiers, their accuracy at other sizes, and what trains on from them."""
    for seed, (pretraining, config) in product(SEEDS, PRETRAININGS.items()):
        yield train_job(f"pretrain/{pretraining}/{seed}", config, root, randomness__seed=seed)
    for seed, (pretraining, config) in product(SEEDS, PRETRAININGS.items()):
        out = f"sizes/{pretraining}/{seed}"
        yield Job(
            out,
            (
                "tools/dev/experiments/sizes.py",
                f"configs/experiments/{config}.py",
                str(checkpoint(root, pretraining, seed)),
                str(root / out / "top1.json"),
                *TESTED[pretraining],
            ),
            needs=(f"pretrain/{pretraining}/{seed}",),
        )
    for size in SIZES:
        for seed, mode in product(tuning_seeds(size), AXIAL_MODES):
            yield _tune_job(root, "tune", mode, size, seed)
    for start, seed, mode in product(STARTS, SEEDS, AXIAL_MODES):
        yield _dense_job(root, mode, start, seed)
    for seed in SEEDS:
        yield _tune_job(root, "tune_epoch", DEFAULT_MODE, TUNED_SIZE, seed)


def tuning_seeds(size: tuple[int, int]) -> tuple[int, ...]:
    return SEEDS if size == TUNED_SIZE else SEEDS[:1]


def _tune_job(root: Path, kind: str, mode: str, size: tuple[int, int], seed: int) -> Job:
    resize = "dataloader__dataset__pipeline"
    height, width = size
    scale = f"({width},{height})"
    return train_job(
        tuning(kind, mode, size, seed),
        f"cifar10_smlpnet_{kind}",
        root,
        needs=(f"pretrain/native/{seed}",),
        randomness__seed=seed,
        load_from=checkpoint(root, "native", seed),
        model__backbone__axial_mode=mode,
        **{f"train_{resize}__3__scale": scale},
        **{f"{split}_{resize}__1__scale": scale for split in ("val", "test")},
    )


def tuning(kind: str, mode: str, size: tuple[int, int], seed: int) -> str:
    """Folder of a network that is trained on at another size."""
    return f"{kind}/{mode}/{label(size)}/{seed}"


def _dense_job(root: Path, mode: str, start: str, seed: int) -> Job:
    options = dict(randomness__seed=seed, model__backbone__axial_mode=mode)
    needs = ()
    if start == "pretrained":
        # The same weights whatever the seed, as in the experiment on transfer.
        needs = (f"pretrain/native/{SEEDS[0]}",)
        options |= dict(
            model__backbone__init_cfg__type="Pretrained",
            model__backbone__init_cfg__checkpoint=checkpoint(root, "native", SEEDS[0]),
            model__backbone__init_cfg__prefix="backbone.",
        )
    return train_job(f"camvid/{mode}/{start}/{seed}", "camvid_smlpnet", root, needs, **options)


def results(root: Path) -> dict:
    """All figures in percent: a list over seeds for each."""
    sizes = {
        pretraining: [
            json.loads((root / f"sizes/{pretraining}/{seed}/top1.json").read_text())
            for seed in SEEDS
        ]
        for pretraining in PRETRAININGS
    }
    tuned = {
        f"`{mode}`, {length}": {
            label(size): [
                last_metric(root / tuning(kind, mode, size, seed), "accuracy/top1")
                for seed in tuning_seeds(size)
            ]
            for size in sizes_tuned
        }
        for kind, mode, length, sizes_tuned in (
            *(("tune", mode, "130 iterations", SIZES) for mode in AXIAL_MODES),
            ("tune_epoch", DEFAULT_MODE, "an epoch", [TUNED_SIZE]),
        )
    }
    camvid = {
        mode: {
            start: [last_metric(root / f"camvid/{mode}/{start}/{seed}", "mIoU") for seed in SEEDS]
            for start in STARTS
        }
        for mode in AXIAL_MODES
    }
    return dict(sizes=sizes, tuned=tuned, camvid=camvid)


def curves(figures: dict, pretraining: str) -> dict[str, dict[str, float]]:
    """Mean top-1 over seeds, by what is done to the network, then by size."""
    seeds = figures["sizes"][pretraining]
    rows = {
        "image resized to 32x32": {k: mean(s["back"][k] for s in seeds) for k in seeds[0]["back"]}
    }
    for i, suffix in enumerate(("", ", norms re-estimated")):
        for key in TESTED[pretraining]:
            rows[NETWORKS[key] + suffix] = {
                size: mean(s[key][size][i] for s in seeds) for size in seeds[0][key]
            }
    return rows


def tables(figures: dict) -> list[str]:
    """The figures in Markdown: as they are at other sizes, trained on there, and on CamVid."""
    sizes = [["trained at", "top-1 at", *figures["sizes"]["native"][0]["back"]]]
    for pretraining, name in PRETRAINED_AT.items():
        for title, row in curves(figures, pretraining).items():
            sizes.append([name, title, *(f"{top1:.1f}" for top1 in row.values())])
    tuned = [["top-1 at", *map(label, SIZES)]]
    for name, row in figures["tuned"].items():
        cells = (row.get(label(size)) for size in SIZES)
        tuned.append([name, *(spread(values) if values else "" for values in cells)])
    camvid = [["CamVid mIoU", "pretrained", "from scratch"]]
    for mode, row in figures["camvid"].items():
        camvid.append([f"`{mode}`", *(spread(row[start]) for start in STARTS)])
    return [markdown_table(rows) for rows in (sizes, tuned, camvid)]


def figure(figures: dict, path: Path) -> None:
    """Top-1 over the side of square images, for both trainings."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 5.4), sharey=True, layout="constrained")
    for ax, (pretraining, trained_at) in zip(axes, PRETRAINED_AT.items(), strict=True):
        rows = curves(figures, pretraining)
        lines = [(":", "0.5"), *product(("--", "-"), COLOURS[: len(TESTED[pretraining])])]
        for (name, row), (line, colour) in zip(rows.items(), lines, strict=True):
            sides = {h: top1 for size, top1 in row.items() for h, w in [size.split("x")] if h == w}
            ax.plot(
                [int(side) for side in sides],
                list(sides.values()),
                line,
                color=colour,
                marker=".",
                label=name.replace("`", ""),
            )
        ax.set_title(f"trained at {trained_at}")
        ax.set_xlabel("side of the image (pixels)")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("CIFAR-10 top-1 (%)")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    fig.savefig(path, dpi=150)
    plt.close(fig)
