"""Mask R-CNN with FPN on sMLPNet-T, COCO 1x: 12 epochs, batch 16, 1333×800."""

_base_ = "_base_/mask_rcnn_coco_1x.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmsmlp.SMLPNet",
        arch="tiny",
        img_size=224,
        drop_path_rate=0.2,
        # Norms keep learning: statistics of 224×224 need not hold at 1333×800.
        norm_cfg=dict(type="SyncBN", requires_grad=True),
    ),
    neck=dict(in_channels=[80, 160, 320, 640]),
)
