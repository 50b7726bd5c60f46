"""Mask2Former on S²-MLPv2-Medium/4, ADE20K: 160,000 iterations, batch 16, 512×512."""

_base_ = ["_base_/mask2former_ade20k.py", "_base_/s2mlpv2_m4.py"]

model = dict(backbone=_base_.backbone, decode_head=dict(in_channels=_base_.channels))
# As in the other recipes, a hundredth of what the rest of the backbone has.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"fusion.weight1": dict(lr_mult=0.001)}))
