"""A segmentor with an MLP head for the three last levels, on CamVid."""

_base_ = ["../../_base_/segmentor.py", "camvid.py"]

model = dict(
    data_preprocessor=dict(
        mean=[125.3, 123.0, 113.9],
        std=[63.0, 62.1, 66.7],
        size=_base_.crop_size,
        seg_pad_val=_base_.void,
    ),
    backbone=dict(out_indices=(1, 2, 3)),
    decode_head=dict(
        type="SegformerHead",
        in_channels=[48, 96, 192],
        in_index=[0, 1, 2],
        channels=64,
        num_classes=11,
        ignore_index=_base_.void,
        norm_cfg=dict(type="BN"),
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
