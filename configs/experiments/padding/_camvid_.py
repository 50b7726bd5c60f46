"""A segmentor with an MLP head on CamVid, complete images of 160×120 times 0.6 to 1.6."""

_base_ = "../_base_/camvid_mlp_head.py"
model = dict(
    data_preprocessor=dict(size=None, size_divisor=32),
    backbone=dict(out_indices=(1, 2, 3)),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="RandomResize", scale=(160, 120), ratio_range=(0.6, 1.6), keep_ratio=True),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackSegInputs"),
        ],
    ),
)
# A third of the test images.
val_dataloader = dict(
    dataset=dict(
        indices=list(range(0, 233, 3)),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=(160, 120)),
            dict(type="LoadAnnotations"),
            dict(type="PackSegInputs"),
        ],
    ),
)
test_dataloader = val_dataloader
