"""Mask R-CNN with FPN on S²-MLPv2-Medium/4, COCO 1x: 12 epochs, batch 16, 1333×800."""

_base_ = "mask_rcnn_s2mlpv2_s4.py"

model = dict(backbone=dict(arch="medium/4", drop_path_rate=0.2))
