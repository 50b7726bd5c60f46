"""Semantic FPN on CycleMLP-B3, ADE20K in PVT's setting: 40,000 iterations, batch 32, 512×512."""

_base_ = ["_base_/semantic_fpn.py", "_base_/ade20k_pvt.py", "_base_/cyclemlp_b3.py"]

model = dict(backbone=dict(_base_.backbone, drop_path_rate=0.1), neck=_base_.neck)
