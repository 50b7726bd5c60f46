"""The same for a whole epoch."""

_base_ = "cifar10_smlpnet_tune.py"

max_iters = 391
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler.T_max = max_iters
default_hooks = dict(checkpoint=dict(interval=max_iters))
