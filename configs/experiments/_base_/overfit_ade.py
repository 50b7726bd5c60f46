"""UperNet on three photos of ADE20K, trained and tested on these same photos from random weights.

The head has a quarter of its channels, and there is no auxiliary one. Nothing is drawn at random:
complete photos, no drop path, no dropout.
"""

_base_ = ["../../_base_/upernet.py", "../../_base_/ade20k_160k.py"]

resize = dict(type="Resize", scale=(352, 256), keep_ratio=True)
load = _base_.load

model = dict(
    data_preprocessor=dict(size=resize["scale"][::-1]),
    backbone=dict(drop_path_rate=0.0),
    decode_head=dict(
        channels=128,
        dropout_ratio=0.0,
        loss_decode=[
            dict(type="CrossEntropyLoss", loss_name="loss_ce"),
            # As mIoU does, it counts a class of a hundred pixels as much as the sky.
            dict(
                type="LovaszLoss",
                loss_name="loss_lovasz",
                loss_type="multi_class",
                classes="present",
                reduction="none",
            ),
        ],
    ),
    auxiliary_head=None,
)
# By name: ADE_val_00000001 to 3.
data = dict(
    data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
    indices=3,
)
train_dataloader = dict(
    batch_size=3,
    num_workers=1,
    dataset=dict(pipeline=[*load, resize, dict(type="PackSegInputs")], **data),
)
val_dataloader = dict(
    num_workers=1,
    # The ground truth is loaded after resizing: it is compared at the original size.
    dataset=dict(pipeline=[load[0], resize, load[1], dict(type="PackSegInputs")], **data),
)
test_dataloader = val_dataloader

max_iters = 380
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="PolyLR", power=0.9, eta_min=0.0, by_epoch=False, begin=20, end=max_iters),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=50, max_keep_ckpts=1))
log_processor = dict(window_size=10)
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=3)
