"""Mask R-CNN on 16 photos of COCO, trained and tested on these same photos from random weights.

The model of COCO 1x with norms in FPN and mask head, which random weights need, and with fewer
regions. Nothing is drawn at random but the order of the photos: no flips, no drop path.
"""

_base_ = "../../_base_/mask_rcnn_coco_1x.py"

# tools/coco_subset.py writes it (docs/recipes.md).
ann_file = "annotations/instances_first16.json"
norm_cfg = dict(type="GN", num_groups=32)
resize = dict(type="Resize", scale=(384, 240), keep_ratio=True)

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(drop_path_rate=0.0),
    neck=dict(norm_cfg=norm_cfg),
    # Images are smaller than the recipe's, and objects with them.
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(mask_head=dict(num_convs=1, norm_cfg=norm_cfg)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),
)

load = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
]
meta_keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
data = dict(ann_file=ann_file, data_prefix=dict(img="train2017/"))
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    sampler=dict(type="InfiniteSampler"),
    dataset=dict(pipeline=[*load, resize, dict(type="PackDetInputs")], **data),
)
val_dataloader = dict(
    # The ground truth is loaded after resizing: it is compared at the original size.
    dataset=dict(
        pipeline=[load[0], resize, load[1], dict(type="PackDetInputs", meta_keys=meta_keys)],
        **data,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f"data/coco/{ann_file}")
test_evaluator = val_evaluator

max_iters = 450
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=max_iters, val_interval=150)
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=30, end=max_iters, eta_min_ratio=0.01),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(by_epoch=False, interval=50, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=10)
visualizer = dict(line_width=1)
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=2)
