"""Puts the mini data set in the place of a config's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .dataset import ensure_mini
from .shapes import CLASSES, PALETTE

TASKS = {"mmdet": "detection", "mmseg": "segmentation", "mmpretrain": "classification"}

# Scenes hold a few objects on 160×128 pixels: full-size counts would only cost time.
MAX_ROIS = 32
AT_MOST = dict(nms_pre=500, max_per_img=200)
# An average over some 20 iterations; that of a full schedule would not move in one of minutes.
EMA_MOMENTUM = 0.05


def use_mini(cfg: Config) -> None:
    """Swap data and schedule of a config for the mini ones, and write the data if need be.

    The model stays as it is but for the number of classes, how many regions of interest a head
    samples and how many proposals are kept. An average of weights follows the short schedule.

    Args:
        cfg: A config of mmdet, mmseg or mmpretrain, changed in place.

    Raises:
        ValueError: If ``default_scope`` names none of the three.
    """
    scope = cfg.get("default_scope")
    if scope not in TASKS:
        raise ValueError(f"default_scope must be one of {list(TASKS)}, got {scope!r}")
    task = TASKS[scope]
    mini = Config.fromfile(Path(__file__).parent / "configs" / f"{task}.py")
    ensure_mini(mini.data_root)
    cfg.merge_from_dict(mini.to_dict())
    classes, palette = CLASSES, PALETTE[1:]
    if task == "segmentation":
        classes, palette = ("background", *CLASSES), PALETTE
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"].dataset.metainfo = dict(classes=classes, palette=palette)
    for hook in cfg.get("custom_hooks") or []:
        if hook["type"].endswith("EMAHook"):
            hook.update(momentum=EMA_MOMENTUM, interval=1)
    # mmpretrain keeps a preprocessor outside of the model, and it counts classes as well.
    for part in _dicts([cfg.model, cfg.get("data_preprocessor")]):
        if "num_classes" in part:
            part["num_classes"] = len(classes)
        for key in AT_MOST.keys() & part.keys():
            part[key] = min(part[key], AT_MOST[key])
        # Tells the samplers of RoI heads from the RPN's, which cost next to nothing.
        if part.get("add_gt_as_proposals"):
            part["num"] = min(part["num"], MAX_ROIS)


def _dicts(node: Any) -> Iterator[dict]:
    """Every dict in a nested config."""
    if isinstance(node, dict):
        yield node
        node = node.values()
    if not isinstance(node, str) and hasattr(node, "__iter__"):
        for child in node:
            yield from _dicts(child)
