"""Predict on images, and draw what was found."""

import argparse
import importlib
from pathlib import Path

from mmengine.runner import CheckpointLoader

from mmsmlp.checkpoints import CheckpointError, check_weights, guard_loading
from mmsmlp.launch import UsageError, add_trust_argument, check_checkpoint, read_config, run

INFERENCERS = {
    "mmdet": ("mmdet.apis", "DetInferencer", "out_dir"),
    "mmseg": ("mmseg.apis", "MMSegInferencer", "out_dir"),
    "mmpretrain": ("mmpretrain.apis", "ImageClassificationInferencer", "show_dir"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="its path, or `mmsmlp::…` for an installed one")
    parser.add_argument("checkpoint", help="path or URL of the checkpoint")
    parser.add_argument("images", nargs="+", help="their paths")
    parser.add_argument("--out-dir", default="predictions", help="default: predictions")
    parser.add_argument("--device", help="such as cuda:1 (default: a GPU if there is one)")
    add_trust_argument(parser)
    args = parser.parse_args()
    guard_loading(args.trust_checkpoint)
    cfg = read_config(args.config)
    check_checkpoint(args.checkpoint)
    for image in args.images:
        if not Path(image).is_file():
            raise UsageError(f"there is no image {image!r} (looked in {Path.cwd()})")
    scope = cfg.get("default_scope")
    if scope not in INFERENCERS:
        raise UsageError(f"default_scope must be one of {list(INFERENCERS)}, got {scope!r}")
    module, name, option = INFERENCERS[scope]
    inferencer = getattr(importlib.import_module(module), name)
    predict = inferencer(cfg, args.checkpoint, device=args.device)
    try:
        line, _ = check_weights(predict.model, CheckpointLoader.load_checkpoint(args.checkpoint))
    except CheckpointError as error:
        raise CheckpointError(f"cannot load {args.checkpoint!r}: {error}") from error
    print(f"{line}; from {args.checkpoint}")
    predict(args.images, **{option: args.out_dir})
    # The libraries' progress bars leave the cursor behind them.
    print(f"\npredictions: {args.out_dir}")


if __name__ == "__main__":
    run(main, interrupted="what is drawn so far is there")
