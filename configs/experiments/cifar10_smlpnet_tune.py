"""A small sMLPNet, trained on CIFAR-10 at 32×32, trained on at another size for 130 iterations."""

_base_ = "cifar10_smlpnet.py"

size = 64
train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline.insert(-1, dict(type="Resize", scale=size, backend="pillow"))
test_pipeline = _base_.test_dataloader.dataset.pipeline
test_pipeline.insert(-1, dict(type="Resize", scale=size, backend="pillow"))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

# A third of an epoch.
max_iters = 130
train_cfg = dict(
    _delete_=True, type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = dict(
    _delete_=True, type="CosineAnnealingLR", by_epoch=False, eta_min_ratio=0.01, T_max=max_iters
)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=max_iters)
)
log_processor = dict(by_epoch=False)
