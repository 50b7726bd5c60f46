"""Mask2Former on sMLPNet-B, ADE20K: 160,000 iterations, batch 16, 512×512."""

_base_ = ["_base_/mask2former_ade20k.py", "_base_/smlpnet_b.py"]

model = dict(backbone=_base_.backbone, decode_head=dict(in_channels=_base_.channels))
