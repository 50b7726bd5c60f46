"""Write a config with another backbone, which inherits from one of mmdet or mmseg.

Shows the changes, and tests that the model builds and predicts before anything is written.
"""

import argparse
from difflib import unified_diff
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import DictAction
from rich.console import Console
from rich.syntax import Syntax

from mmsmlp.engine.runner import check_checkpoint, check_new_config, find_config, run
from mmsmlp.errors import SwapError, UsageError
from mmsmlp.swap import (
    BACKBONES,
    base_of,
    build_model,
    named_backbone,
    overrides,
    predict_noise,
    published_weights,
    read_config,
    swap_backbone,
    written,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="path of the config, or `mmdet::…` or `mmseg::…`")
    parser.add_argument("--backbone", required=True, help=f"one of {', '.join(BACKBONES)}")
    parser.add_argument("--out", required=True, type=Path, help="config to write")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--checkpoint", help="path or URL of weights of the backbone")
    weights.add_argument(
        "--weights", metavar="NAME", help="published weights (`list --weights`), or `auto`"
    )
    parser.add_argument(
        "--backbone-options",
        nargs="+",
        action=DictAction,
        help="arguments of the backbone, e.g. `drop_path_rate=0.3 with_cp=True`",
    )
    parser.add_argument(
        "--keep-optimizer",
        action="store_true",
        help="keep the optimizer (default: AdamW, and no decay of norms and biases)",
    )
    parser.add_argument(
        "--no-forward",
        action="store_true",
        help="build the model and leave it there, e.g. where only a GPU has its operators",
    )
    parser.add_argument("--force", action="store_true", help="replace the new config if it exists")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        config = find_config(args.config)
        if args.out.exists() and args.out.samefile(config):
            raise UsageError(f"--out is the config that is swapped, {str(args.out)!r}")
        check_new_config(args.out, args.force)
        if args.checkpoint:
            check_checkpoint(args.checkpoint)
        backbone = named_backbone(args.backbone, args.backbone_options)
        if args.weights:
            args.checkpoint = published_weights(args.weights, args.backbone)
        old = read_config(config).to_dict()
    except SwapError as error:
        raise UsageError(error) from error
    try:
        new = swap_backbone(old, backbone, args.checkpoint, args.keep_optimizer)
        changes = overrides(old, new)
        title = f"{Path(args.config).name} with the backbone {args.backbone}."
        base = base_of(config.absolute(), args.out.parent)
        with written(args.out, title, base, changes) as draft:
            cfg = read_config(draft)
            model = build_model(cfg)
            _show(old, new)
            if not args.no_forward:
                predict_noise(model, cfg)
    except SwapError as error:
        raise UsageError(f"{args.config} cannot take {args.backbone}: {error}") from error
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    done = "built" if args.no_forward else "built and run on an image"
    Console(highlight=False, soft_wrap=True).print(
        f"{type(model).__name__} of {parameters:.1f}M parameters, {done}\nwritten: {args.out}"
    )


def _show(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Print the settings that differ, as a diff."""
    before, after = (pformat(cfg, width=100).splitlines() for cfg in (old, new))
    lines = unified_diff(before, after, "was", "is", lineterm="", n=1)
    Console(soft_wrap=True).print(Syntax("\n".join(lines), "diff", theme="ansi_dark"))


if __name__ == "__main__":
    run(main)
