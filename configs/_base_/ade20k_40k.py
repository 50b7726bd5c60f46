"""ADE20K, 512×512: 40,000 iterations, batch 32, AdamW, as Semantic FPN on PoolFormer in mmseg."""

_base_ = "ade20k.py"

max_iters = 40_000
train_dataloader = dict(batch_size=4)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters // 10)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-4, betas=(0.9, 0.999), weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
param_scheduler = dict(
    type="PolyLR", power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=max_iters
)
auto_scale_lr = dict(enable=False, base_batch_size=32)
default_hooks = dict(checkpoint=dict(interval=max_iters // 10))
