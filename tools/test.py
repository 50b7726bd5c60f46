"""Test a checkpoint of any detector, segmentor or classifier that a config describes."""

from mmengine.registry import METRICS

from mmsmlp.launch import (
    UsageError,
    base_parser,
    build_runner,
    check_checkpoint,
    check_data,
    load_config,
    report,
    run,
)


def main() -> None:
    parser = base_parser(__doc__)
    parser.add_argument("checkpoint", help="path or URL of the checkpoint")
    parser.add_argument("--out", help="also dump the predictions into this .pkl file")
    args = parser.parse_args()
    cfg = load_config(args)
    check_checkpoint(args.checkpoint)
    if args.out and not args.out.endswith((".pkl", ".pickle")):
        raise UsageError(f"--out must end in .pkl or .pickle, got {args.out!r}")
    cfg.load_from = args.checkpoint
    check_data(cfg, "test")

    runner = build_runner(cfg)
    if args.out:
        # mmdet's compresses masks, which would be as large as the images, each.
        dump = "mmdet.DumpDetResults" if cfg.default_scope == "mmdet" else "mmengine.DumpResults"
        runner.test_evaluator.metrics.append(METRICS.build(dict(type=dump, out_file_path=args.out)))
    runner.test()
    report(runner, "test")


if __name__ == "__main__":
    run(main, interrupted="nothing was evaluated")
