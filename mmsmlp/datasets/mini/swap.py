"""Replaces a config's data by the mini data set."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.utils import digit_version
from mmengine.utils.dl_utils import TORCH_VERSION

from mmsmlp.model_zoo import dicts_in

from .dataset import ensure_mini
from .shapes import CLASSES, PALETTE

TASKS = {"mmdet": "detection", "mmseg": "segmentation", "mmpretrain": "classification"}

# Scenes hold a few objects on 160×128 pixels: full-size counts would only cost time. Four
# convolutions in a mask head take half of an iteration's.
MAX_ROIS = 32
AT_MOST = dict(nms_pre=500, max_per_img=200, num_convs=1)
CALIBRATION_IMAGES = 16
PADDED_SIZE = (160, 160)
# Of things and stuff, our detectors have only things.
CLASS_COUNTS = {"num_classes", "num_things_classes"}
# An average over some 20 iterations; that of a full schedule would not move in one of minutes.
EMA_MOMENTUM = 0.05


def use_mini(cfg: Config) -> None:
    """Swap data and schedule of a config for the mini ones, and write the data if need be.

    The model changes only in counts: classes, sampled regions of interest, points read from each,
    proposals, and stacked convolutions in heads, which become one. FPNs and mask heads without
    norms get batch norms. Regularisation follows the short schedule: no drop path, and an average
    of weights over a few iterations.

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
    optimizer = cfg.optim_wrapper.optimizer
    # Parameter by parameter, a step of AdamW takes a quarter of a second on two cores. Before torch
    # 2.4, to fuse it took a GPU.
    if optimizer.type == "AdamW" and digit_version(TORCH_VERSION) >= digit_version("2.4"):
        optimizer.fused = True
    for hook in cfg.get("custom_hooks") or []:
        if hook["type"].endswith("EMAHook"):
            hook.update(momentum=EMA_MOMENTUM, interval=1)
        if hook["type"].endswith("PreciseBNHook"):
            hook["num_images"] = min(hook["num_images"], CALIBRATION_IMAGES)
    # mmpretrain keeps a preprocessor outside of the model, and it counts classes as well.
    parts = list(dicts_in([cfg.model, cfg.get("data_preprocessor")]))
    before = max(part.get(key, 0) for part in parts for key in CLASS_COUNTS)
    for part in parts:
        for key in CLASS_COUNTS & part.keys():
            part[key] = len(classes)
        for key in AT_MOST.keys() & part.keys():
            part[key] = min(part[key], AT_MOST[key])
        # Only for the samplers of RoI heads; the RPN's cost almost nothing.
        if part.get("add_gt_as_proposals"):
            part["num"] = min(part["num"], MAX_ROIS)
        # Made for hundreds of epochs, of which there are three here.
        if "drop_path_rate" in part:
            part["drop_path_rate"] = 0.0
        # Two samples a side are a fifth of an iteration on a CPU, and a bin of objects as small as
        # these is about a token.
        if part.get("type") == "RoIAlign":
            part["sampling_ratio"] = 1
        # Random weights learn faster with norms.
        if part.get("type") in ("FPN", "FCNMaskHead"):
            part.setdefault("norm_cfg", dict(type="BN"))
        # One weight a class, and one for no object in heads that have it.
        if isinstance(weights := part.get("class_weight"), list):
            part["class_weight"] = weights[: len(classes)] + weights[before:]
        if part.get("type") == "BatchFixedSizePad":
            part["size"] = PADDED_SIZE
