"""Mask R-CNN on a small sMLPNet; its native size is a little below that of the mini scenes."""

_base_ = "_base_.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmsmlp.SMLPNet",
        arch=dict(embed_dims=(32, 64, 128, 256), depths=(1, 2, 4, 1), mlp_ratio=3),
        img_size=128,
    ),
    neck=dict(in_channels=[32, 64, 128, 256]),
)
