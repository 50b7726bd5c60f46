"""Cost of training a detector on COCO in GPU-hours, by calculation: nothing is measured."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from benchmarks.subjects import TITLES
from mmengine.config import Config

from mmsmlp.engine.optim.schedule import NUM_IMAGES
from mmsmlp.engine.runner import markdown_table, run
from mmsmlp.model_zoo import config_path
from mmsmlp.model_zoo.whole_models import model_cost

SIZE = (800, 1333)
BACKBONES = ("smlpnet_t", "s2mlpv2_s4")
SCHEDULES = {"1x": "mmsmlp::mask_rcnn_{}.py", "3x": "mmsmlp::mask_rcnn_{}_3x.py"}
# A backward pass makes gradients of inputs and of weights: as many products again, twice.
PASSES = 3
# Operations of an A100 per second in 16 bits, by its data sheet; a multiply-add is two.
PEAK = 312e12
# Shares of it that training reaches, perhaps.
UTILISATIONS = (0.1, 0.3)


def operations(name: str) -> tuple[float, float]:
    """Billions of multiply-adds of one image, forward, and operations of a complete training.

    Box and mask heads see the regions that the config's sampler takes at most.
    """
    cfg = Config.fromfile(config_path(name))
    sampler = cfg.model.train_cfg.rcnn.sampler
    _, forward = model_cost(name, SIZE, (sampler.num, int(sampler.num * sampler.pos_fraction)))
    images = cfg.train_cfg.max_epochs * NUM_IMAGES["CocoDataset"]
    return forward, 2e9 * PASSES * forward * images


def rows(utilisations: Sequence[float]) -> Iterator[list[str]]:
    hours = [f"GPU-hours at {share:.0%}" for share in utilisations]
    yield ["backbone", "schedule", "multiply-adds of an image", "operations in all", *hours]
    for backbone in BACKBONES:
        for schedule, name in SCHEDULES.items():
            forward, total = operations(name.format(backbone))
            yield [
                TITLES[backbone],
                schedule,
                f"{forward:.0f}G",
                f"{total / 1e18:.1f} · 10¹⁸",
                *(f"{total / (PEAK * share) / 3600:.0f}" for share in utilisations),
            ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--utilisation",
        type=float,
        nargs="+",
        default=UTILISATIONS,
        help="shares of an A100's peak that training reaches (default: 0.1 0.3)",
    )
    args = parser.parse_args()
    print(markdown_table(list(rows(args.utilisation))), end="")


if __name__ == "__main__":
    run(main)
