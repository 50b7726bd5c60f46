"""Mask R-CNN with FPN on S²-MLPv2-Small/7, COCO 1x: 12 epochs, batch 16, 1333×800.

The network has two levels; FPN makes three more of them by striding: 7, 14, 28, 56, 112.
"""

_base_ = "_base_/mask_rcnn_coco_1x.py"

# Regions go where they are as many tokens across as they are at strides 4 to 32.
roi_extractor = dict(featmap_strides=[7, 14, 28, 56], finest_scale=98)

model = dict(
    data_preprocessor=dict(pad_size_divisor=14),
    backbone=dict(_delete_=True, type="mmsmlp.S2MLPv2", arch="small/7", drop_path_rate=0.1),
    neck=dict(in_channels=[192, 384]),
    # Anchors of 32 to 512 pixels, as at strides 4 to 64.
    rpn_head=dict(anchor_generator=dict(scales=[32 / 7], strides=[7, 14, 28, 56, 112])),
    roi_head=dict(bbox_roi_extractor=roi_extractor, mask_roi_extractor=roi_extractor),
)
