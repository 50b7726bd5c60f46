"""UperNet on sMLPNet-T, overfitted to three photos of ADE20K."""

_base_ = ["_base_/overfit_ade.py", "../_base_/smlpnet_t.py"]

model = dict(backbone=_base_.backbone, decode_head=dict(in_channels=_base_.channels))
