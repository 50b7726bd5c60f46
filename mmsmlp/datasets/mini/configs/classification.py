"""Mini data and a schedule of minutes for classifiers; see `mmsmlp.datasets.mini.swap.use_mini`."""

data_root = "data/mini/"

train_dataloader = dict(
    _delete_=True,
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="CustomDataset",
        data_root=data_root,
        data_prefix="classification/train",
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="RandomResizedCrop", scale=96, crop_ratio_range=(0.5, 1.0)),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackInputs"),
        ],
    ),
)
val_dataloader = dict(
    _delete_=True,
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CustomDataset",
        data_root=data_root,
        data_prefix="classification/val",
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=96),
            dict(type="PackInputs"),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="Accuracy", topk=(1,))
test_evaluator = val_evaluator

max_epochs = 10
train_cfg = dict(
    _delete_=True, type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=max_epochs
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=16),
    dict(
        type="CosineAnnealingLR", T_max=max_epochs, eta_min_ratio=0.01, convert_to_iter_based=True
    ),
]
optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=1e-3))
default_hooks = dict(
    logger=dict(interval=4),
    checkpoint=dict(interval=1, max_keep_ckpts=1),
)
log_processor = dict(window_size=4)
randomness = dict(seed=0)
auto_scale_lr = dict(base_batch_size=32)
