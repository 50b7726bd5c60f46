"""Predict on images, videos or a webcam: pictures for people, JSON and index maps for programs."""

import argparse
import signal
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from torch import nn

from mmsmlp.apis.inference import Predictor, Source, build_task, predict_all, sources_of
from mmsmlp.checkpoints import guard_loading
from mmsmlp.deploy import Exported, check_rest, config_of, is_export, load_model, use_exported
from mmsmlp.engine.runner import (
    add_trust_argument,
    check_checkpoint,
    check_folder,
    read_config,
    run,
)
from mmsmlp.errors import UsageError
from mmsmlp.model_zoo.whole_models import build


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "config",
        help="its path, or `mmsmlp::…` for an installed one; an exported file has its own",
    )
    parser.add_argument("checkpoint", help="path or URL of the checkpoint, or an exported file")
    parser.add_argument(
        "inputs",
        nargs="*",
        help="images, videos, folders of images, patterns, and numbers of webcams",
    )
    parser.add_argument("--out-dir", default="predictions", help="default: predictions")
    parser.add_argument("--batch-size", type=int, default=1, help="of images (default: 1)")
    parser.add_argument(
        "--size", type=int, help="shorter side of images (default: by the test pipeline)"
    )
    parser.add_argument("--score-thr", type=float, help="least score of a detection (default: 0.3)")
    parser.add_argument("--classes", nargs="+", help="keep only these")
    parser.add_argument(
        "--rest",
        help="checkpoint for the parts that are not in an exported file (two-stage detectors)",
    )
    parser.add_argument("--device", help="such as cuda:1 (default: a GPU if there is one)")
    add_trust_argument(parser)
    args = parser.parse_intermixed_args()
    if is_export(args.config):
        args.inputs.insert(0, args.checkpoint)
        args.config, args.checkpoint = None, args.config
    if not args.inputs:
        parser.error("there is nothing to predict on: name images, videos or folders")
    for name in ("batch_size", "size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    return args


def load(args: argparse.Namespace) -> tuple[nn.Module, dict, Config]:
    """The model, classes and palette, and the config, of a checkpoint or an exported file."""
    cfg = None if args.config is None else read_config(args.config)
    if not is_export(args.checkpoint):
        if args.rest:
            raise UsageError(f"--rest goes with an exported file, and {args.checkpoint!r} is none")
        check_checkpoint(args.checkpoint)
        loaded = load_model(cfg, args.checkpoint)
        print(f"{loaded.summary}; from {args.checkpoint}")
        return loaded.model.to(args.device or get_device()), loaded.meta, cfg
    exported = Exported(args.checkpoint)
    check_rest(args.checkpoint, exported, args.rest)
    cfg = cfg or config_of(exported.metadata)
    if args.rest:
        check_checkpoint(args.rest)
        model = load_model(cfg, args.rest).model
    else:
        model = build(cfg)
    use_exported(model, exported)
    return model, exported.metadata, cfg


def main() -> None:
    args = arguments()
    guard_loading(args.trust_checkpoint)
    sources = sources_of(args.inputs)
    model, meta, cfg = load(args)
    predictor = Predictor(model, cfg, args.size)
    task = build_task(cfg, model, meta, args.classes, args.score_thr)
    check_folder(args.out_dir, "the folder", "--out-dir")
    # A scheduler's request to stop is the user's.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = predict_all(sources, predictor, task, Path(args.out_dir), args.batch_size)
    if failed:
        raise UsageError(f"{shorten_failed(failed, len(sources))}; predictions: {args.out_dir}")
    print(f"predictions: {args.out_dir}")


def shorten_failed(failed: dict[Source, int], total: int) -> str:
    """One line on the inputs that failed, wholly or in parts."""
    some = [
        f"{source.path}" + f": {number} of {source.frames or '?'} frames" * source.is_stream
        for source, number in list(failed.items())[:3]
    ]
    more = ", …" * (len(failed) > 3)
    return f"{len(failed)} of {total} inputs failed ({', '.join(some)}{more})"


if __name__ == "__main__":
    run(main, interrupted="the files have all results so far")
