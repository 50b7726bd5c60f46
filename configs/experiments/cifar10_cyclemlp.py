"""A small CycleMLP on CIFAR-10."""

_base_ = ["_base_/cifar10.py", "_base_/cyclemlp.py"]

model = dict(backbone=dict(out_indices=(3,), **_base_.backbone), head=dict(in_channels=192))
