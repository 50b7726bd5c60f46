"""Draw the learning rate of any config over its training; builds neither data nor model."""

import argparse
from pathlib import Path

from mmengine.config import DictAction
from rich.console import Console
from rich.table import Table

from mmsmlp.engine.optim.schedule import (
    NUM_IMAGES,
    draw_schedule,
    epoch_length,
    key_figures,
    learning_rates,
)
from mmsmlp.engine.runner import read_config, run
from mmsmlp.errors import UsageError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="path of the config")
    parser.add_argument("--out", type=Path, help="picture (default: work_dirs/<config's name>.png)")
    parser.add_argument(
        "--images", type=int, help="training images (default: those of ImageNet-1K or COCO)"
    )
    parser.add_argument("--gpus", type=int, default=1, help="GPUs that share them (default: 1)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="settings to override")
    args = parser.parse_args()
    cfg = read_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    by_epoch = "max_epochs" in cfg.train_cfg
    dataset = cfg.train_dataloader.dataset.get("type")
    images = args.images or NUM_IMAGES.get(dataset)
    if by_epoch and images is None:
        raise UsageError(f"how long an epoch of {dataset} is depends on its size: give --images")

    length = epoch_length(cfg, images, args.gpus) if by_epoch else 1
    rates = learning_rates(cfg, length)
    out = args.out or Path("work_dirs", f"{Path(args.config).stem}.png")
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_schedule(rates, length if by_epoch else None, Path(args.config).stem, out)

    console = Console(highlight=False, soft_wrap=True)
    table = Table("", "iteration", *["epoch"] * by_epoch, "learning rate")
    for name, (i, rate) in key_figures(rates).items():
        table.add_row(name, f"{i:,}", *[f"{i / length:.2f}"] * by_epoch, f"{rate:.4g}")
    console.print(table)
    every = cfg.optim_wrapper.get("accumulative_counts", 1)
    batch = cfg.train_dataloader.batch_size * args.gpus * every
    console.print(f"batch {batch}; the optimizer steps every {every} iterations")
    console.print(f"drawn: {out}")


if __name__ == "__main__":
    run(main)
