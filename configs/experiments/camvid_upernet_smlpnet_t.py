"""UperNet on sMLPNet-T, CamVid."""

_base_ = ["_base_/camvid_upernet.py", "../_base_/smlpnet_t.py"]

model = dict(
    backbone=_base_.backbone,
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
