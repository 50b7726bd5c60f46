"""Train any detector, segmentor or classifier that a config describes."""

from mmsmlp.engine.runner import (
    base_parser,
    build_runner,
    check_data,
    fit_precision,
    load_config,
    report,
    resume_from,
    run,
)
from mmsmlp.errors import UsageError


def main() -> None:
    parser = base_parser(__doc__)
    parser.add_argument(
        "--amp",
        action="store_true",
        help="train in mixed precision: float16 on a GPU, bfloat16 on a CPU",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        help="resume from this checkpoint, or from the newest in the work directory",
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate with the total batch size",
    )
    args = parser.parse_args()
    cfg = load_config(args)

    fit_precision(cfg, args.amp)
    if args.auto_scale_lr:
        if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
            raise UsageError("--auto-scale-lr needs auto_scale_lr.base_batch_size in the config")
        cfg.auto_scale_lr.enable = True
        # mmengine compares it with GPUs × images, and the optimizer steps once in so many of these.
        cfg.auto_scale_lr.base_batch_size /= cfg.optim_wrapper.get("accumulative_counts", 1)
    finished = bool(args.resume) and resume_from(cfg, args.resume, args.trust_checkpoint)
    check_data(cfg, "train", "val")

    runner = build_runner(cfg, needs="some")
    if finished:
        print(
            f"{cfg.load_from} has finished training: evaluating it. Change --work-dir to restart."
        )
    runner.train()
    report(runner, "val")


if __name__ == "__main__":
    run(main, interrupted="the same command with --resume continues from the last checkpoint")
