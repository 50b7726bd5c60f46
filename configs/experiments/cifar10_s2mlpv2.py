"""A small S²-MLPv2 on CIFAR-10."""

_base_ = ["_base_/cifar10.py", "_base_/s2mlpv2.py"]

model = dict(backbone=dict(out_indices=(3,), **_base_.backbone), head=dict(in_channels=192))
