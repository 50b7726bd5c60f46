"""Editable configs for custom data sets, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, prod, sqrt
from pprint import pformat
from statistics import median, quantiles

from mmengine.config import Config

from mmsmlp.datasets.custom import MIN_SIDE, Coco

# An object may be half as large as the smallest anchor, and one in so many smaller than that.
SMALLEST = 0.5
ONE_IN = 20
# From random weights, on a few hundred images; with Adam they go with the root of the batch.
LR_DETECTION, LR_SEGMENTATION, LR_CLASSIFICATION = 2e-4, 5e-4, 2e-4
LR_BATCH = 2
# Of the training, how much warms up.
WARM_UP = 0.1
# Of a line of the config.
WIDTH = 88
DETECTION = '''"""{title}"""

_base_ = {base}

classes = {classes}
scale = {scale}  # of images: the longer and the shorter side at most
batch_size = {batch_size}  # on each GPU
lr = {lr:.2g}  # from random weights; from trained ones, 1e-4 or less
max_epochs = {max_epochs}

load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", {annotations})]
resize = dict(type="Resize", scale=scale, keep_ratio=True)
flip = dict(type="RandomFlip", prob=0.5)
meta_keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")

model = dict(
{model})
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        data_root="",
        metainfo=dict(classes=classes),
        ann_file={train.ann_file!r},
        data_prefix=dict(img={train.folder!r}),
{filter}        pipeline=[*load, resize, flip, dict(type="PackDetInputs")],
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root="",
        metainfo=dict(classes=classes),
        ann_file={val.ann_file!r},
        data_prefix=dict(img={val.folder!r}),
        # The ground truth is loaded after resizing: it is compared at the original size.
        pipeline=[load[0], resize, load[1], dict(type="PackDetInputs", meta_keys=meta_keys)],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={val.ann_file!r}, metric={metric!r})
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
FILTER = (
    "        filter_cfg=dict(filter_empty_gt=True, min_size={small}),  # some images are small\n"
)
SEGMENTATION = '''"""{title}"""

_base_ = {base}

classes = {classes}
scale = {scale}  # of images: the longer and the shorter side at most
crop_size = {crop}
batch_size = {batch_size}  # on each GPU
lr = {lr:.2g}  # from random weights; from trained ones, 1e-4 or less
max_iters = {max_iters}
warm_up = min(1000, max(1, max_iters // 10))

load = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]
heads = dict(num_classes=len(classes))

model = dict(data_preprocessor=dict(size=crop_size), decode_head=heads, auxiliary_head=heads)
dataset = dict(
    _delete_=True,
    type="BaseSegDataset",
    metainfo=dict(classes=classes),
    img_suffix="",
    seg_map_suffix=".png",
)
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        ann_file={train.ann_file!r},
        data_prefix=dict(img_path={train.folder!r}, seg_map_path={train.masks!r}),
        pipeline=[
            *load,
            dict(type="RandomResize", scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PhotoMetricDistortion"),
            dict(type="PackSegInputs"),
        ],
        **dataset,
    ),
)
val_dataloader = dict(
    dataset=dict(
        ann_file={val.ann_file!r},
        data_prefix=dict(img_path={val.folder!r}, seg_map_path={val.masks!r}),
        # The ground truth is loaded after resizing: it is compared at the original size.
        pipeline=[
            load[0],
            dict(type="Resize", scale=scale, keep_ratio=True),
            load[1],
            dict(type="PackSegInputs"),
        ],
        **dataset,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(max_iters=max_iters, val_interval=max(1, max_iters // 10))
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=warm_up),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=warm_up, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max(1, max_iters // 10), max_keep_ckpts=2))
'''
CLASSIFICATION = '''"""{title}"""

_base_ = {base}

classes = {classes}
batch_size = {batch_size}  # on each GPU
lr = {lr:.2g}  # from random weights; from trained ones, a tenth of it
max_epochs = {max_epochs}

model = dict(head=dict(num_classes=len(classes), topk={topk}), train_cfg=None)
data_preprocessor = dict(num_classes=len(classes))
dataset = dict(
    type="CustomDataset",
    metainfo=dict(classes=classes),
    data_root="",
    data_prefix={train.folder!r},
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=4,
    sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True),
    dataset=dict(ann_file={train.ann_file!r}, **dataset),
)
val_dataloader = dict(
    batch_size=batch_size, num_workers=4, dataset=dict(ann_file={val.ann_file!r}, **dataset)
)
test_dataloader = val_dataloader
val_evaluator = dict(topk={topk})
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=lr))
auto_scale_lr = dict(base_batch_size=batch_size)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end={warm_up}),
    dict(
        type="CosineAnnealingLR", T_max=max_epochs, eta_min_ratio=0.01, convert_to_iter_based=True
    ),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))
'''


@dataclass(frozen=True)
class Set:
    """Where images and annotations are, as a config names them.

    Attributes:
        folder: Of the images.
        ann_file: Of the annotations, or the list of the images.
        masks: Folder of the masks.
    """

    folder: str
    ann_file: str
    masks: str = ""


def detection_config(
    title: str, base: str, recipe: Config, sets: tuple[Set, Set], data: Coco, batch_size: int
) -> str:
    """A config that inherits from a recipe of Mask R-CNN, for other data.

    Args:
        title: Its description, in a line.
        base: The value of ``_base_``, as source code.
        recipe: The recipe that it inherits.
        sets: Training and evaluation data.
        data: Training data; without masks, it becomes Faster R-CNN.
        batch_size: Images that a GPU has at a time.
    """
    sizes = [(image["width"], image["height"]) for image in data.images]
    scale = fitting_scale(sizes, _scale_of(recipe))
    anchors = recipe.model.rpn_head.anchor_generator
    scales = fitting_anchors(data, scale, anchors.scales, anchors.strides[0])
    max_epochs = recipe.train_cfg.max_epochs
    changed = ANCHORS.format(scales=scales) if scales != list(anchors.scales) else ""
    small = min(map(min, sizes))
    return DETECTION.format(
        title=title,
        base=base,
        classes=source_of(data.boxes),
        scale=scale,
        batch_size=batch_size,
        lr=LR_DETECTION * sqrt(batch_size / LR_BATCH),
        max_epochs=max_epochs,
        annotations="with_bbox=True" + ", with_mask=True" * data.with_masks,
        model=(MASKS if data.with_masks else BOXES).format(anchors=changed),
        filter=FILTER.format(small=small) if small < MIN_SIDE else "",
        train=sets[0],
        val=sets[1],
        metric=["bbox", "segm"] if data.with_masks else "bbox",
        warm_up=_warm_up(max_epochs * ceil(len(sizes) / batch_size)),
    )


def segmentation_config(
    title: str,
    base: str,
    recipe: Config,
    sets: tuple[Set, Set],
    classes: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    batch_size: int,
) -> str:
    """A config that inherits from a recipe of UperNet, for other data.

    Args:
        title: Its description, in a line.
        base: The value of ``_base_``, as source code.
        recipe: The recipe that it inherits.
        sets: Training and evaluation data.
        classes: Their names.
        sizes: Width and height of the images to train on.
        batch_size: Images that a GPU has at a time.
    """
    scale = fitting_scale(sizes, _scale_of(recipe))
    crop = max(MIN_SIDE, min(512, scale[1]) // MIN_SIDE * MIN_SIDE)
    max_iters = min(recipe.train_cfg.max_iters, 50 * ceil(len(sizes) / batch_size))
    return SEGMENTATION.format(
        title=title,
        base=base,
        classes=source_of(classes),
        scale=scale,
        crop=(crop, crop),
        batch_size=batch_size,
        lr=LR_SEGMENTATION * sqrt(batch_size / LR_BATCH),
        max_iters=max_iters,
        train=sets[0],
        val=sets[1],
    )


def classification_config(
    title: str,
    base: str,
    sets: tuple[Set, Set],
    classes: Sequence[str],
    count: int,
    batch_size: int,
) -> str:
    """A config that inherits from a recipe of a classifier, for other data.

    Args:
        title: Its description, in a line.
        base: The value of ``_base_``, as source code.
        sets: Training and evaluation data.
        classes: Their names.
        count: Number of images to train on.
        batch_size: Images that a GPU has at a time.
    """
    max_epochs = 50
    return CLASSIFICATION.format(
        title=title,
        base=base,
        classes=source_of(classes),
        batch_size=batch_size,
        lr=LR_CLASSIFICATION * sqrt(batch_size / LR_BATCH),
        max_epochs=max_epochs,
        topk=(1, 5) if len(classes) > 5 else (1,),
        train=sets[0],
        val=sets[1],
        warm_up=_warm_up(max_epochs * ceil(count / batch_size)),
    )


def _scale_of(recipe: Config) -> Sequence[int]:
    steps = recipe.train_dataloader.dataset.pipeline
    return next(step.scale for step in steps if step.type in ("Resize", "RandomResize"))


def _warm_up(iterations: int) -> int:
    return min(1000, max(1, round(WARM_UP * iterations)))


def source_of(names: Iterable[str]) -> str:
    """Source code of a tuple of names, in lines of a fitting length."""
    return pformat(tuple(names), width=WIDTH, compact=True)


def fitting_scale(sizes: Sequence[tuple[int, int]], largest: Sequence[int]) -> tuple[int, int]:
    """Longer and shorter side that images are resized to: their own, if that is not too large."""
    longer, shorter = median(map(max, sizes)), median(map(min, sizes))
    return min(max(largest), round(longer)), min(min(largest), round(shorter))


def fitting_anchors(
    data: Coco, scale: tuple[int, int], scales: Sequence[int], stride: int
) -> list[int]:
    """Scales of anchors that the smallest objects of a data set are not too small for.

    Args:
        data: Annotations.
        scale: Size of resized images.
        scales: Those of the recipe; smaller ones are added.
        stride: Of the finest map: the side of an anchor there, at a scale of 1.
    """
    factors = {
        image["id"]: _factor((image["width"], image["height"]), scale) for image in data.images
    }
    sides = [
        sqrt(prod(entry["bbox"][2:])) * factors[entry["image_id"]] for entry in data.annotations
    ]
    small = quantiles(sides, n=ONE_IN)[0] if len(sides) > 1 else sides[0]
    scales = sorted(scales)
    while scales[0] > 1 and small < SMALLEST * scales[0] * stride:
        scales.insert(0, scales[0] // 2)
    return scales


def _factor(size: tuple[int, int], scale: tuple[int, int]) -> float:
    """How much larger an image gets."""
    return min(scale[0] / max(size), scale[1] / min(size))
