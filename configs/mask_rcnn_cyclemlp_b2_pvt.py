"""Mask R-CNN with FPN on CycleMLP-B2, COCO 1x in PVT's setting: 12 epochs, batch 16, 1333×800."""

_base_ = ["_base_/mask_rcnn_coco_pvt.py", "_base_/cyclemlp_b2.py"]

model = dict(backbone=_base_.backbone, neck=_base_.neck)
