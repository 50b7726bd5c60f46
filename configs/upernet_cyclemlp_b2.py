"""UperNet on CycleMLP-B2, ADE20K: 160,000 iterations, batch 16, 512×512."""

_base_ = ["_base_/upernet.py", "_base_/ade20k_160k.py", "_base_/cyclemlp_b2.py"]

model = dict(
    backbone=_base_.backbone,
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
