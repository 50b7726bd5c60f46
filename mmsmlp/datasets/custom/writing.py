"""A config for own data, as text that its owner can go on from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod, sqrt
from statistics import median, quantiles

from mmengine.config import Config

from .annotations import Annotations

# An object may be half as large as the smallest anchor, and one in so many smaller than that.
SMALLEST = 0.5
ONE_IN = 20
# Learns faster from random weights than a quarter of it, on a few hundred images; with Adam it goes
# with the root of the batch.
LR, LR_BATCH = 2e-4, 2
# Of the training, how much warms up.
WARM_UP = 0.1
# Of a line of the config.
WIDTH = 88
TEXT = '''"""{title}"""

_base_ = {base}

classes = {classes}
scale = {scale}  # of images: the longer and the shorter side at most
batch_size = {batch_size}  # on each GPU
lr = {lr:.2g}  # from random weights; from trained ones, 1e-4 or less
max_epochs = {max_epochs}

load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", {annotations})]
resize = dict(type="Resize", scale=scale, keep_ratio=True)
meta_keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")

model = dict(
{model})
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        data_root="",
        metainfo=dict(classes=classes),
        ann_file={train_file},
        data_prefix=dict(img={train_folder}),
        pipeline=[*load, resize, dict(type="RandomFlip", prob=0.5), dict(type="PackDetInputs")],
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root="",
        metainfo=dict(classes=classes),
        ann_file={val_file},
        data_prefix=dict(img={val_folder}),
        # The ground truth is loaded after resizing: it is compared at the original size.
        pipeline=[load[0], resize, load[1], dict(type="PackDetInputs", meta_keys=meta_keys)],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={val_file}, metric={metric})
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end={warm_up}),
    dict(
        type="CosineAnnealingLR", T_max=max_epochs, eta_min_ratio=0.01, convert_to_iter_based=True
    ),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
'''
BOXES = """    type="FasterRCNN",
{anchors}    roi_head=dict(
        bbox_head=dict(num_classes=len(classes)), mask_head=None, mask_roi_extractor=None
    ),
"""
MASKS = """{anchors}    roi_head=dict(
        bbox_head=dict(num_classes=len(classes)), mask_head=dict(num_classes=len(classes))
    ),
"""
ANCHORS = "    rpn_head=dict(anchor_generator=dict(scales={scales})),  # many objects are small\n"


@dataclass(frozen=True)
class Set:
    """Where images and annotations are, as a config names them."""

    folder: str
    ann_file: str


def config_text(
    title: str,
    base: str,
    recipe: Config,
    sets: tuple[Set, Set],
    data: Annotations,
    with_masks: bool,
    batch_size: int,
) -> str:
    """A config that inherits from a recipe of Mask R-CNN, for other data.

    Args:
        title: What it is, in a line.
        base: What ``_base_`` is to be, as source code.
        recipe: What it inherits.
        sets: What to train on, and what to evaluate on.
        data: Annotations to train on.
        with_masks: Whether they have masks; otherwise it becomes Faster R-CNN.
        batch_size: Images that a GPU has at a time.
    """
    resize = next(s for s in recipe.train_dataloader.dataset.pipeline if s.type == "Resize")
    scale = fitting_scale(data, resize.scale)
    anchors = recipe.model.rpn_head.anchor_generator
    scales = fitting_anchors(data, scale, anchors.scales, anchors.strides[0])
    max_epochs = recipe.train_cfg.max_epochs
    iterations = max_epochs * ceil(len(data["images"]) / batch_size)
    changed = ANCHORS.format(scales=scales) if scales != list(anchors.scales) else ""
    return TEXT.format(
        title=title,
        base=base,
        classes=_tuple([category["name"] for category in data["categories"]]),
        scale=scale,
        batch_size=batch_size,
        lr=LR * sqrt(batch_size / LR_BATCH),
        max_epochs=max_epochs,
        annotations="with_bbox=True" + ", with_mask=True" * with_masks,
        model=(MASKS if with_masks else BOXES).format(anchors=changed),
        train_file=json.dumps(sets[0].ann_file),
        train_folder=json.dumps(sets[0].folder),
        val_file=json.dumps(sets[1].ann_file),
        val_folder=json.dumps(sets[1].folder),
        metric=json.dumps(["bbox", "segm"] if with_masks else "bbox"),
        warm_up=min(1000, max(1, round(WARM_UP * iterations))),
    )


def _tuple(names: Sequence[str]) -> str:
    """Source code of a tuple, in lines of a fitting length."""
    items = [f"{json.dumps(name, ensure_ascii=False)}," for name in names]
    line = " ".join(items)
    if len(line) <= WIDTH:
        return f"({line if len(items) == 1 else line[:-1]})"
    # What is within quotes stays in one piece.
    rows = [""]
    for item in items:
        if len(rows[-1]) + len(item) > WIDTH:
            rows.append("")
        rows[-1] += f" {item}"
    return "(\n   " + "\n   ".join(rows) + "\n)"


def fitting_scale(data: Annotations, largest: Sequence[int]) -> tuple[int, int]:
    """Longer and shorter side that images are resized to: their own, if that is not too large."""
    sizes = [(image["width"], image["height"]) for image in data["images"]]
    longer, shorter = median(map(max, sizes)), median(map(min, sizes))
    return min(max(largest), round(longer)), min(min(largest), round(shorter))


def fitting_anchors(
    data: Annotations, scale: tuple[int, int], scales: Sequence[int], stride: int
) -> list[int]:
    """Scales of anchors that the smallest objects of a data set are not too small for.

    Args:
        data: Annotations.
        scale: What images are resized to.
        scales: Those of the recipe; smaller ones are added.
        stride: Of the finest map: the side of an anchor there, at a scale of 1.
    """
    factors = {
        image["id"]: _factor((image["width"], image["height"]), scale) for image in data["images"]
    }
    sides = [
        sqrt(prod(entry["bbox"][2:])) * factors[entry["image_id"]] for entry in data["annotations"]
    ]
    small = quantiles(sides, n=ONE_IN)[0] if len(sides) > 1 else sides[0]
    scales = sorted(scales)
    while scales[0] > 1 and small < SMALLEST * scales[0] * stride:
        scales.insert(0, scales[0] // 2)
    return scales


def _factor(size: tuple[int, int], scale: tuple[int, int]) -> float:
    """How much larger an image gets."""
    return min(scale[0] / max(size), scale[1] / min(size))
