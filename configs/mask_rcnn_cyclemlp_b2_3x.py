"""Mask R-CNN with FPN on CycleMLP-B2, COCO 3x: 36 epochs, batch 16, several scales."""

_base_ = ["_base_/mask_rcnn_coco_3x.py", "_base_/cyclemlp_b2.py"]

model = dict(backbone=_base_.backbone, neck=_base_.neck)
