"""Write a config with another backbone, which inherits from one of mmdet or mmseg.

Shows what changes, and proves that the model builds and takes an image before anything is written.
"""

import argparse
from pathlib import Path
from typing import Any

from mmengine.config import DictAction
from rich.console import Console
from rich.table import Table

from mmsmlp.engine.runner import check_checkpoint, check_new_config, run
from mmsmlp.errors import SwapError, UsageError
from mmsmlp.swap import (
    BACKBONES,
    base_of,
    build_model,
    changed_settings,
    find_config,
    named_backbone,
    overrides,
    prove,
    read_config,
    swap_backbone,
    written,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="path of the config, or `mmdet::…` or `mmseg::…`")
    parser.add_argument("--backbone", required=True, help=f"one of {', '.join(BACKBONES)}")
    parser.add_argument("--out", required=True, type=Path, help="config to write")
    parser.add_argument("--checkpoint", help="path or URL of weights of the backbone")
    parser.add_argument(
        "--backbone-options",
        nargs="+",
        action=DictAction,
        help="arguments of the backbone, e.g. `drop_path_rate=0.3 with_cp=True`",
    )
    parser.add_argument(
        "--keep-optimizer",
        action="store_true",
        help="leave the optimizer as it is (default: AdamW, and no decay of norms and biases)",
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
            _show(old, changes)
            if not args.no_forward:
                prove(model, cfg.default_scope)
    except SwapError as error:
        raise UsageError(f"{args.config} cannot take {args.backbone}: {error}") from error
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    done = "built" if args.no_forward else "built and run on an image"
    Console(highlight=False, soft_wrap=True).print(
        f"{type(model).__name__} of {parameters:.1f}M parameters, {done}\nwritten: {args.out}"
    )


def _show(old: dict[str, Any], changes: dict[str, Any]) -> None:
    table = Table()
    for column in ("setting", "was", "is"):
        table.add_column(column, overflow="fold")
    for name, was, now in changed_settings(old, changes):
        table.add_row(name, f"[red]{_text(was)}", f"[green]{_text(now)}")
    Console().print(table)


def _text(value: Any) -> str:
    """A value in a few words: a dict by what makes it differ from another."""
    if not isinstance(value, dict):
        return str(value).replace("[", r"\[")
    pairs = ", ".join(f"{k}={_text(v)}" for k, v in value.items() if k not in ("_delete_", "type"))
    return f"{value.get('type', 'dict')}({pairs})"


if __name__ == "__main__":
    run(main)
