"""A small sMLPNet on CIFAR-10: native lengths 16, 8, 4, 2."""

_base_ = ["_base_/cifar10.py", "_base_/smlpnet.py"]

model = dict(backbone=dict(out_indices=(3,), **_base_.backbone), head=dict(in_channels=192))
