"""S²-MLPv2-Small/7 on ImageNet-1K: 300 epochs, batch 1024, 224×224."""

_base_ = "_base_/s2mlpv2_in1k.py"

model = dict(
    backbone=dict(type="mmsmlp.S2MLPv2", arch="small/7", out_indices=-1, drop_path_rate=0.1),
    head=dict(in_channels=384),
)
