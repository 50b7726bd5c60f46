"""A small sMLPNet, trained on CIFAR-10 at 32×32, trained on at another size for an epoch."""

_base_ = "cifar10_smlpnet.py"

size = 64
train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline.insert(-1, dict(type="Resize", scale=size, backend="pillow"))
test_pipeline = _base_.test_dataloader.dataset.pipeline
test_pipeline.insert(-1, dict(type="Resize", scale=size, backend="pillow"))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_epochs=1, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = dict(
    _delete_=True, type="CosineAnnealingLR", eta_min_ratio=0.01, convert_to_iter_based=True, T_max=1
)
