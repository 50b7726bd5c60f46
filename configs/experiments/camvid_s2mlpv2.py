"""A small S²-MLPv2 on CamVid."""

_base_ = ["_base_/camvid_mlp_head.py", "_base_/s2mlpv2.py"]

model = dict(backbone=_base_.backbone)
