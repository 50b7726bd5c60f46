"""A small sMLPNet on CamVid; its axial maps are those of 32×32 images."""

_base_ = ["_base_/camvid_mlp_head.py", "_base_/smlpnet.py"]

model = dict(backbone=_base_.backbone)
