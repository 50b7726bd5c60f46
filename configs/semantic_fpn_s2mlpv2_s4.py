"""Semantic FPN on S²-MLPv2-Small/4, ADE20K: 40,000 iterations, batch 32, 512×512."""

_base_ = ["_base_/semantic_fpn.py", "_base_/ade20k_40k.py", "_base_/s2mlpv2_s4.py"]

model = dict(backbone=_base_.backbone, neck=_base_.neck)
