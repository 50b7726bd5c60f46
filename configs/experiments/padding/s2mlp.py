"""Mask R-CNN with a simple feature pyramid on a small S²-MLP."""

_base_ = "_base_.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmsmlp.S2MLP",
        arch=dict(embed_dims=128, depth=8, patch_size=8, mlp_ratio=3),
        drop_path_rate=0.0,
        # As with the other networks; the experiment tries the rest.
        training_padding="include",
    ),
    neck=dict(
        _delete_=True,
        type="mmsmlp.SimpleFeaturePyramid",
        in_channels=[128],
        in_strides=[8],
        out_channels=32,
        out_strides=[4, 8, 16, 32],
        num_outs=5,
    ),
)
