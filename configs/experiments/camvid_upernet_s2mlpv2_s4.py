"""UperNet on S²-MLPv2-Small/4, CamVid."""

_base_ = ["_base_/camvid_upernet.py", "../_base_/s2mlpv2_s4.py"]

model = dict(
    backbone=_base_.backbone,
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
