"""Backbones, weights and configs of the package, by name."""

from __future__ import annotations

import argparse
import ast
import re
from dataclasses import dataclass
from typing import Any

from .finding import ROOT

# As the recipes of this package have them: norms keep learning, over all GPUs.
SMLPNET = dict(type="mmsmlp.SMLPNet", norm_cfg=dict(type="SyncBN", requires_grad=True))
BACKBONES: dict[str, dict[str, Any]] = {
    "smlpnet_t": dict(SMLPNET, arch="tiny", drop_path_rate=0.2),
    "smlpnet_s": dict(SMLPNET, arch="small", drop_path_rate=0.2),
    "smlpnet_b": dict(SMLPNET, arch="base", drop_path_rate=0.3),
    "cyclemlp_b1": dict(type="mmsmlp.CycleMLP", arch="b1", drop_path_rate=0.1),
    "cyclemlp_b2": dict(type="mmsmlp.CycleMLP", arch="b2", drop_path_rate=0.1),
    "cyclemlp_b3": dict(type="mmsmlp.CycleMLP", arch="b3", drop_path_rate=0.1),
    "cyclemlp_b4": dict(type="mmsmlp.CycleMLP", arch="b4", drop_path_rate=0.1),
    "cyclemlp_b5": dict(type="mmsmlp.CycleMLP", arch="b5", drop_path_rate=0.1),
    "s2mlpv2_s4": dict(type="mmsmlp.S2MLPv2", arch="small/4", drop_path_rate=0.1),
    "s2mlpv2_m4": dict(type="mmsmlp.S2MLPv2", arch="medium/4", drop_path_rate=0.2),
    "s2mlpv2_s7": dict(type="mmsmlp.S2MLPv2", arch="small/7", drop_path_rate=0.1),
    "s2mlpv2_m7": dict(type="mmsmlp.S2MLPv2", arch="medium/7", drop_path_rate=0.2),
    "s2mlpv2_s14": dict(type="mmsmlp.S2MLPv2", arch="small/14", drop_path_rate=0.1),
    "s2mlp_wide": dict(type="mmsmlp.S2MLP", arch="wide", drop_path_rate=0.1),
    "s2mlp_deep": dict(type="mmsmlp.S2MLP", arch="deep", drop_path_rate=0.1),
}
# By the data sets of the recipes.
TASKS = {"COCO": "detection", "ADE20K": "segmentation", "ImageNet-1K": "classification"}
# The first line of a config, such as "RetinaNet on sMLPNet-T, COCO 1x: 12 epochs, batch 16."
_TITLE = re.compile(r"((?P<method>.+) on )?\S+(,| on) (?P<data>[^:]+?)(: (?P<rest>.+?))?\.?")


@dataclass(frozen=True)
class Recipe:
    """A config, described by its name and its first line.

    Args:
        name: Its name for the tools, such as ``'mmsmlp::retinanet_smlpnet_t.py'``.
        task: One of the values of ``TASKS``.
        backbone: Its name, a key of ``BACKBONES``.
        method: Neck and heads.
        schedule: Data set, length and batch of the training.
    """

    name: str
    task: str
    backbone: str
    method: str
    schedule: str

    @property
    def words(self) -> list[str]:
        """Filters that find the config, besides its backbone."""
        return [part.strip("_") for part in _stem(self.name).split(self.backbone) if part]


def recipes() -> list[Recipe]:
    """All configs of the package, in the order of their names."""
    found = []
    for path in sorted((ROOT / "configs").glob("*.py")):
        title = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
        parts = _TITLE.fullmatch(title)
        data, rest = parts["data"], parts["rest"]
        found.append(
            Recipe(
                name=f"mmsmlp::{path.name}",
                task=next(task for dataset, task in TASKS.items() if dataset in data),
                backbone=next(name for name in BACKBONES if matches(path.stem, name)),
                method=parts["method"] or "classifier",
                schedule=f"{data}: {rest}" if rest else data,
            )
        )
    return found


def matches(name: str, wanted: str) -> bool:
    """Whether a name has the words of another in it, all of them and side by side.

    Example:
        >>> matches("mask_rcnn_s2mlpv2_s4", "s2mlpv2"), matches("mask_rcnn_s2mlpv2_s4", "s2mlp")
        (True, False)
    """
    return f"_{wanted.lower()}_" in f"_{name}_"


def chosen(wanted: str = "", task: str | None = None) -> tuple[list[str], list[Recipe]]:
    """The backbones and the configs that a filter leaves.

    Args:
        wanted: Part of their names; backbones of such configs are included, too.
        task: Of the configs; backbones without such a config are excluded.
    """
    configs = [
        recipe
        for recipe in recipes()
        if (not wanted or matches(_stem(recipe.name), wanted)) and task in (None, recipe.task)
    ]
    used = {recipe.backbone for recipe in configs}
    backbones = [
        name
        for name in BACKBONES
        if name in used or (task is None and (not wanted or matches(name, wanted)))
    ]
    return backbones, configs


def filters(task: str | None = None) -> list[str]:
    """Valid filters of :func:`chosen`: families, backbones, and words of configs."""
    backbones, configs = chosen(task=task)
    families = [name.partition("_")[0] for name in backbones]
    words = [word for recipe in configs for word in recipe.words]
    return list(dict.fromkeys([*families, *backbones, *words]))


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tools/list.py``, for itself and for completion."""
    wanted = parser.add_argument("filter", nargs="?", default="", help="such as s2mlpv2 or upernet")
    wanted.completer = lambda **_: filters()  # read by argcomplete
    parser.add_argument("--task", choices=list(TASKS.values()), help="configs of this task only")
    parser.add_argument("--weights", action="store_true", help="published weights only")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def _stem(name: str) -> str:
    return name.removeprefix("mmsmlp::").removesuffix(".py")
