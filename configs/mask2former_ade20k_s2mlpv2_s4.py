"""Mask2Former on S²-MLPv2-Small/4, ADE20K: 160,000 iterations, batch 16, 512×512."""

_base_ = ["_base_/mask2former_ade20k.py", "_base_/s2mlpv2_s4.py"]

model = dict(backbone=_base_.backbone, decode_head=dict(in_channels=_base_.channels))
