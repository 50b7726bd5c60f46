"""UperNet on S²-MLPv2-Small/4, ADE20K: 160,000 iterations, batch 16, 512×512."""

_base_ = ["_base_/upernet.py", "_base_/ade20k_160k.py"]

model = dict(
    backbone=dict(type="mmsmlp.S2MLPv2", arch="small/4", drop_path_rate=0.1),
    decode_head=dict(in_channels=[64, 128, 320, 512]),
    auxiliary_head=dict(in_channels=320),
)
