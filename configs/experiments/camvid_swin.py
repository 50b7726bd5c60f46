"""A small Swin Transformer on CamVid."""

_base_ = ["_base_/camvid_mlp_head.py", "_base_/swin.py"]

model = dict(backbone=_base_.backbone)
