"""Mask R-CNN with FPN on S²-MLPv2-Medium/4, COCO 3x: 36 epochs, batch 16, several scales."""

_base_ = ["_base_/mask_rcnn_coco_3x.py", "_base_/s2mlpv2_m4.py"]

model = dict(backbone=_base_.backbone, neck=_base_.neck)
