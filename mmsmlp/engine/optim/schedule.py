"""The learning rate of a config over its training, without training."""

from __future__ import annotations

import warnings
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.runner import Runner
from torch import nn

# Images that a training set hands out (those of COCO that have boxes).
NUM_IMAGES = {"ImageNet": 1_281_167, "CocoDataset": 117_266}


def epoch_length(cfg: Config, num_images: int, num_gpus: int = 1) -> int:
    """Iterations of an epoch, by the config's own sampler and batch size.

    Args:
        cfg: A config of mmdet, mmseg or mmpretrain.
        num_images: Images in the training set.
        num_gpus: Processes that share them.
    """
    init_default_scope(cfg.default_scope)
    dataloader = {
        **cfg.train_dataloader.to_dict(),
        "dataset": range(ceil(num_images / num_gpus)),
        "num_workers": 0,
        "persistent_workers": False,
    }
    return len(Runner.build_dataloader(dataloader, seed=0))


def learning_rates(cfg: Config, epoch_length: int) -> np.ndarray:
    """Learning rate in every iteration, stepped by the config's own schedulers.

    Iterations are counted as in mmengine: with gradient accumulation, several of them are one step.

    Args:
        cfg: A config with ``train_cfg``, ``optim_wrapper`` and ``param_scheduler``.
        epoch_length: Iterations of an epoch.

    Returns:
        ``(iterations,)``.
    """
    init_default_scope(cfg.default_scope)
    by_epoch = "max_epochs" in cfg.train_cfg
    epochs = cfg.train_cfg.max_epochs if by_epoch else None
    iterations = epochs * epoch_length if by_epoch else cfg.train_cfg.max_iters
    # All parameter groups of a model follow the same curve.
    optimizer = build_optim_wrapper(nn.Linear(1, 1), dict(optimizer=cfg.optim_wrapper.optimizer))
    schedulers = cfg.get("param_scheduler") or []
    schedulers = [
        PARAM_SCHEDULERS.build(
            {"end": epochs if scheduler.get("by_epoch", True) else iterations, **scheduler},
            default_args=dict(optimizer=optimizer, epoch_length=epoch_length),
        )
        for scheduler in ([schedulers] if isinstance(schedulers, dict) else schedulers)
    ]
    rates = np.empty(iterations)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `scheduler.step")
        for i in range(iterations):
            rates[i] = optimizer.param_groups[0]["lr"]
            epoch_ends = by_epoch and (i + 1) % epoch_length == 0
            for scheduler in schedulers:
                if epoch_ends or not scheduler.by_epoch:
                    scheduler.step()
    return rates


def key_figures(rates: np.ndarray) -> dict[str, tuple[int, float]]:
    """Where a schedule begins, peaks, is halfway and ends: iteration and learning rate."""
    iterations = {
        "first": 0,
        "peak": int(rates.argmax()),
        "halfway": len(rates) // 2,
        "last": len(rates) - 1,
    }
    return {name: (i, float(rates[i])) for name, i in iterations.items()}


def draw_schedule(rates: np.ndarray, epoch_length: int | None, title: str, path: Path) -> None:
    """Draw the learning rate, and mark the key figures.

    Args:
        rates: Learning rate in every iteration.
        epoch_length: Iterations of an epoch, to count in epochs; None to count iterations.
        title: Of the picture.
        path: Where to write it.
    """
    unit = epoch_length or 1
    # As many points as a picture can show.
    steps = np.linspace(0, len(rates) - 1, min(len(rates), 4000)).round().astype(int)
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps / unit, rates[steps], color="black")
    for name, (i, rate) in key_figures(rates).items():
        axes.plot(i / unit, rate, "o", label=f"{name}: {rate:.3g} at {i:,}")
    axes.set(xlabel="epoch" if epoch_length else "iteration", ylabel="learning rate")
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(title="iteration")
    figure.savefig(path, dpi=120)
