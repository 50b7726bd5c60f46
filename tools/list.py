"""List the backbones of this package, weights of them, and the configs that have them."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from mmsmlp.engine.runner import run
from mmsmlp.errors import UsageError
from mmsmlp.model_zoo import (
    BACKBONES,
    TASKS,
    Recipe,
    chosen,
    filters,
)
from mmsmlp.model_zoo.contents import add_list_arguments, matches
from mmsmlp.model_zoo.cost import paper_cost
from mmsmlp.registry import MODELS
from mmsmlp.weights import WEIGHTS, Weights, weights_for

# Enough for any table: output to a file has no width to fold to.
ANY_WIDTH = 1000
WHOLE = ("backbone", "type", "arch", "config", "name", "weights")
NOTE = (
    "parameters, and FLOPs (multiply-adds) at 224 by 224 pixels, as a classifier of 1000 classes "
    "(S²-MLP: without the classifier)"
)


def described(name: str) -> dict[str, Any]:
    """Description of a backbone."""
    cfg, weights = BACKBONES[name], weights_for(name)
    with torch.device("meta"):
        network = MODELS.build(cfg)
    parameters, flops = paper_cost(cfg)
    return dict(
        name=name,
        type=cfg["type"],
        arch=cfg["arch"],
        channels=list(network.channels),
        strides=list(network.strides),
        parameters_m=round(parameters, 3),
        multiply_adds_g=round(flops, 3),
        weights=as_dict(weights) if weights else None,
    )


def as_dict(weights: Weights) -> dict[str, str]:
    """All that is known of weights, for programs."""
    return dict(asdict(weights), file=weights.file, path=weights.path)


def show(backbones: list[dict[str, Any]], configs: list[Recipe]) -> None:
    console = Console(width=None if sys.stdout.isatty() else ANY_WIDTH, highlight=False)
    columns = ("backbone", "type", "arch", "channels", "strides", "parameters", "FLOPs")
    console.print(_table("backbones", [*columns, "weights"], map(_row, backbones)))
    console.print(NOTE)
    for task in TASKS.values():
        rows = [(c.name, c.backbone, c.method, c.schedule) for c in configs if c.task == task]
        if rows:
            console.print()
            console.print(_table(task, ["config", "backbone", "method", "schedule"], rows))


def show_weights(published: list[Weights]) -> None:
    columns = ["name", "backbone", "task", "top-1 of the authors", "licence", "address"]
    rows = [(w.name, w.backbone, w.task, w.top1, w.licence, w.url) for w in published]
    console = Console(width=None if sys.stdout.isatty() else ANY_WIDTH, highlight=False)
    console.print(_table("weights", columns, rows))


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        # Names are not folded, so that they can be copied.
        table.add_column(column, overflow="fold", no_wrap=column in WHOLE)
    for row in rows:
        table.add_row(*row)
    return table


def _row(backbone: dict[str, Any]) -> list[str]:
    return [
        *(backbone[key] for key in ("name", "type", "arch")),
        *(", ".join(map(str, backbone[key])) for key in ("channels", "strides")),
        f"{backbone['parameters_m']:.1f}M",
        f"{backbone['multiply_adds_g']:.1f}G",
        backbone["weights"]["name"] if backbone["weights"] else "",
    ]


def list_weights(wanted: str, as_json: bool) -> None:
    published = [w for name, w in WEIGHTS.items() if not wanted or matches(name, wanted)]
    if not published:
        raise UsageError(f"there are no weights {wanted!r}; there are {', '.join(WEIGHTS)}")
    if as_json:
        print(json.dumps(dict(weights=list(map(as_dict, published))), indent=2))
    else:
        show_weights(published)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_list_arguments(parser)
    args = parser.parse_args()
    if args.weights:
        list_weights(args.filter, args.json)
        return
    names, configs = chosen(args.filter, args.task)
    if not names:
        of_task = f" for {args.task}" if args.task else ""
        raise UsageError(
            f"there is no {args.filter!r}{of_task}; there are {', '.join(filters(args.task))}"
        )
    backbones = [described(name) for name in names]
    if args.json:
        contents = dict(backbones=backbones, configs=[asdict(config) for config in configs])
        print(json.dumps(contents, indent=2, ensure_ascii=False))
    else:
        show(backbones, configs)


if __name__ == "__main__":
    run(main)
