"""Mask R-CNN with FPN on S²-MLPv2-Small/4, COCO 1x: 12 epochs, batch 16, 1333×800."""

_base_ = ["_base_/mask_rcnn_coco_1x.py", "_base_/s2mlpv2_s4.py"]

model = dict(backbone=_base_.backbone, neck=_base_.neck)
