"""Mask2Former on CycleMLP-B2, instances of COCO: 50 epochs, batch 16, 1024×1024."""

_base_ = ["_base_/mask2former_coco.py", "_base_/cyclemlp_b2.py"]

model = dict(backbone=_base_.backbone, panoptic_head=dict(in_channels=_base_.channels))
