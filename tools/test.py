"""Test a checkpoint or an exported file of any detector, segmentor or classifier."""

from mmengine.registry import METRICS

from mmsmlp.deploy import Exported, check_rest, is_export, use_exported
from mmsmlp.engine.runner import (
    base_parser,
    build_runner,
    check_checkpoint,
    check_data,
    load_config,
    report,
    run,
    use_tta,
)
from mmsmlp.errors import UsageError


def main() -> None:
    parser = base_parser(__doc__)
    parser.add_argument("checkpoint", help="path or URL of the checkpoint, or an exported file")
    parser.add_argument(
        "--rest",
        help="checkpoint for the parts that are not in an exported file (two-stage detectors)",
    )
    parser.add_argument("--out", help="also dump the predictions into this .pkl file")
    parser.add_argument(
        "--tta",
        action="store_true",
        help="test-time augmentation by the config's tta_model and tta_pipeline",
    )
    args = parser.parse_args()
    cfg = load_config(args)
    exported = Exported(args.checkpoint) if is_export(args.checkpoint) else None
    if exported is not None:
        check_rest(args.checkpoint, exported, args.rest)
        # A batch pads its images to one size, and a graph cannot leave the padding out again.
        cfg.test_dataloader.batch_size = 1
    elif args.rest:
        raise UsageError(f"--rest goes with an exported file, and {args.checkpoint!r} is none")
    if args.tta:
        if exported is not None:
            raise UsageError("--tta goes with a checkpoint, not with an exported file")
        use_tta(cfg)
    weights = args.checkpoint if exported is None else args.rest
    if weights is not None:
        check_checkpoint(weights)
    if args.out and not args.out.endswith((".pkl", ".pickle")):
        raise UsageError(f"--out must end in .pkl or .pickle, got {args.out!r}")
    cfg.load_from = weights
    check_data(cfg, "test")

    runner = build_runner(cfg)
    if exported is not None:
        use_exported(runner.model, exported)
    if args.out:
        # mmdet's compresses masks, which would be as large as the images, each.
        dump = "mmdet.DumpDetResults" if cfg.default_scope == "mmdet" else "mmengine.DumpResults"
        runner.test_evaluator.metrics.append(METRICS.build(dict(type=dump, out_file_path=args.out)))
    runner.test()
    report(runner, "test")


if __name__ == "__main__":
    run(main, interrupted="nothing was evaluated")
