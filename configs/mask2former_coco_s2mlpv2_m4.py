"""Mask2Former on S²-MLPv2-Medium/4, instances of COCO: 50 epochs, batch 16, 1024×1024."""

_base_ = ["_base_/mask2former_coco.py", "_base_/s2mlpv2_m4.py"]

model = dict(backbone=_base_.backbone, panoptic_head=dict(in_channels=_base_.channels))
