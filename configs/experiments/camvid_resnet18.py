"""A narrow ResNet-18 on CamVid."""

_base_ = ["_base_/camvid_mlp_head.py", "_base_/resnet18.py"]

model = dict(backbone=_base_.backbone, decode_head=dict(in_channels=[40, 80, 160]))
