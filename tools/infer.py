"""Predict on images, videos or a webcam: pictures for people, JSON and index maps for programs."""

import argparse
import signal
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

from mmsmlp.apis.inference import (
    TASKS,
    Detection,
    FilePredictor,
    ModelPredictor,
    Predictor,
    Task,
    predict_all,
    sources_of,
)
from mmsmlp.checkpoints import guard_loading
from mmsmlp.deploy import Exported, check_rest, graft, is_export, load_model
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
        help="its path, or `mmsmlp::…` for an installed one; "
        "left out with an exported classifier or segmentor",
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
        "--rest", help="checkpoint for what an exported file leaves to torch (two-stage detectors)"
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


def of_checkpoint(args: argparse.Namespace, cfg: Config) -> tuple[Predictor, Task]:
    """What a checkpoint predicts with."""
    if args.rest:
        raise UsageError(f"--rest goes with an exported file, and {args.checkpoint!r} is none")
    check_checkpoint(args.checkpoint)
    loaded = load_model(cfg, args.checkpoint)
    print(f"{loaded.summary}; from {args.checkpoint}")
    model = loaded.model.to(args.device or get_device())
    return ModelPredictor(model, cfg, args.size), task_of(cfg.default_scope, loaded.meta, args, cfg)


def of_file(args: argparse.Namespace, cfg: Config | None) -> tuple[Predictor, Task]:
    """What an exported file predicts with."""
    exported = Exported(args.checkpoint)
    kind = exported.metadata["kind"]
    check_rest(args.checkpoint, exported, args.rest)
    if kind in ("classifier", "segmentor"):
        task = task_of(kind, exported.metadata, args)
        return FilePredictor(exported, cfg, args.size), task
    if cfg is None:
        raise UsageError(f"{args.checkpoint!r} holds a {kind}: name its config before it")
    if args.rest:
        check_checkpoint(args.rest)
        model = load_model(cfg, args.rest).model
    else:
        model = build(cfg)
    graft(model, exported)
    task = task_of(cfg.default_scope, exported.metadata, args, cfg)
    return ModelPredictor(model, cfg, args.size), task


def task_of(kind: str, meta: dict, args: argparse.Namespace, cfg: Config | None = None) -> Task:
    if kind not in TASKS:
        raise UsageError(f"default_scope must be mmdet, mmseg or mmpretrain, got {kind!r}")
    if TASKS[kind] is Detection:
        threshold = 0.3 if args.score_thr is None else args.score_thr
        return Detection(meta, args.classes, threshold, cfg.get("visualizer"))
    if args.score_thr is not None:
        raise UsageError("--score-thr is for detectors")
    return TASKS[kind](meta, args.classes)


def main() -> None:
    args = arguments()
    guard_loading(args.trust_checkpoint)
    cfg = None if args.config is None else read_config(args.config)
    sources = sources_of(args.inputs)
    predict, task = (of_file if is_export(args.checkpoint) else of_checkpoint)(args, cfg)
    check_folder(args.out_dir, "the folder", "--out-dir")
    # A scheduler's request to stop is the user's.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    broken = predict_all(sources, predict, task, Path(args.out_dir), args.batch_size)
    if broken:
        names = ", ".join(str(source.path) for source in broken[:3]) + ", …" * (len(broken) > 3)
        others = f"; predictions of the others: {args.out_dir}" * (len(broken) < len(sources))
        raise UsageError(f"{len(broken)} of {len(sources)} inputs cannot be read ({names}){others}")
    print(f"predictions: {args.out_dir}")


if __name__ == "__main__":
    run(main, interrupted="what was found so far is there")
