"""Mask R-CNN with a simple feature pyramid on S²-MLP-wide, COCO 1x: 12 epochs, batch 16."""

_base_ = "_base_/mask_rcnn_coco_1x.py"

model = dict(
    backbone=dict(_delete_=True, type="mmsmlp.S2MLP", arch="wide", drop_path_rate=0.1),
    neck=dict(
        _delete_=True,
        type="mmsmlp.SimpleFeaturePyramid",
        in_channels=[768],
        in_strides=[16],
        out_channels=256,
        out_strides=[4, 8, 16, 32],
        num_outs=5,
    ),
)
