"""A small CycleMLP on CamVid."""

_base_ = ["_base_/camvid_mlp_head.py", "_base_/cyclemlp.py"]

model = dict(backbone=_base_.backbone)
