"""Train a detector on mini scenes, each resized by a random factor."""

from __future__ import annotations

from mmengine.config import Config

from mmsmlp.engine.runner import base_parser, build_runner, load_config, report, resume_from, run

# The longer side of a scene in pixels, and its factors.
SIDE, FACTORS = 160, (0.6, 1.6)


def resize_each(cfg: Config) -> None:
    """Let the images of a training batch differ in size, as under multi-scale recipes."""
    *steps, packing = cfg.train_dataloader.dataset.pipeline
    resize = dict(
        type="RandomResize",
        scale=(SIDE, SIDE),
        ratio_range=FACTORS,
        keep_ratio=True,
        resize_type="Resize",
    )
    cfg.train_dataloader.dataset.pipeline = [*steps, resize, packing]


def main() -> None:
    parser = base_parser(__doc__)
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint")
    args = parser.parse_args()
    args.mini = True
    cfg = load_config(args)
    resize_each(cfg)
    if args.resume:
        resume_from(cfg, "auto", args.trust_checkpoint)
    runner = build_runner(cfg, needs="some")
    runner.train()
    report(runner, "val")


if __name__ == "__main__":
    run(main, interrupted="the same command with --resume continues from the last checkpoint")
