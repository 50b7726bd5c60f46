"""ImageNet-1K as DeiT trains on it (arXiv 2012.12877): 300 epochs, batch 1024, AdamW.

The recipes use these settings if a paper does not give its own. The backbone is still to choose.
"""

_base_ = [
    "mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py",
    "mmpretrain::_base_/schedules/imagenet_bs1024_adamw_swin.py",
    "mmpretrain::_base_/default_runtime.py",
]

model = dict(
    type="ImageClassifier",
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        loss=dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original"),
        topk=(1, 5),
    ),
    train_cfg=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)]),
)

# A batch of 1024 is 8 steps of 128 images on one GPU; on 8 GPUs add `--cfg-options
# optim_wrapper.accumulative_counts=1`. Any other number calls for `--auto-scale-lr`, which counts
# GPUs, images and accumulated steps.
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(_delete_=True, type="RepeatAugSampler", shuffle=True, num_repeats=3),
    dataset=dict(data_prefix="train"),
)
val_dataloader = dict(
    batch_size=128, num_workers=8, persistent_workers=True, dataset=dict(data_prefix="val")
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    accumulative_counts=8,
    paramwise_cfg=dict(
        _delete_=True, norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0
    ),
)
auto_scale_lr = dict(base_batch_size=1024)

param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, begin=0, end=5, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=1e-5, begin=5, end=300, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
