"""Mask R-CNN on a small S²-MLPv2 of four levels."""

_base_ = "_base_.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmsmlp.S2MLPv2",
        arch=dict(
            embed_dims=(32, 64, 128, 256),
            depths=(1, 2, 4, 1),
            patch_sizes=(4, 2, 2, 2),
            mlp_ratio=3,
        ),
        img_size=128,
        drop_path_rate=0.0,
    ),
    neck=dict(in_channels=[32, 64, 128, 256]),
)
