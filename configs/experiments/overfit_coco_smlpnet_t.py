"""Mask R-CNN on sMLPNet-T, overfitted to 16 photos of COCO."""

_base_ = ["_base_/overfit_coco.py", "../_base_/smlpnet_t.py"]

model = dict(backbone=_base_.backbone, neck=_base_.neck)
