"""UperNet with a head of a quarter of its channels, on CamVid; the backbone is to choose."""

_base_ = ["../../_base_/upernet.py", "camvid.py"]

classes = dict(num_classes=11, ignore_index=_base_.void)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size, seg_pad_val=_base_.void),
    backbone=dict(drop_path_rate=0.0),
    decode_head=dict(channels=128, **classes),
    auxiliary_head=dict(channels=64, **classes),
)
default_hooks = dict(visualization=dict(type="SegVisualizationHook"))
