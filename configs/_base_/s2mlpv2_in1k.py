"""S²-MLPv2's recipe for ImageNet-1K (arXiv 2108.01072).

AdamW with weight decay 0.05, batch 1024, 300 epochs of which 10 warm up, cosine from 2e-3 to 1e-5,
RandAugment, MixUp, CutMix, CutOut, label smoothing 0.1, drop path 0.1 and EMA are the paper's. What
it leaves open is DeiT's: the strength of RandAugment, MixUp and CutMix, how often images are cut
out, and the decay of the EMA. The side of what is cut out, half the image's, is ours.
"""

_base_ = "in1k.py"

train_pipeline = list(_base_.train_pipeline)
train_pipeline[-2] = dict(type="Cutout", shape=112, pad_val=_base_.bgr_mean, prob=0.25)
train_dataloader = dict(
    sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)

optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, begin=0, end=10, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=1e-5, begin=10, end=300, convert_to_iter_based=True),
]
# It follows the optimizer: change `interval` whenever you change accumulative_counts.
custom_hooks = [
    dict(type="EMAHook", momentum=4e-5, interval=_base_.optim_wrapper.accumulative_counts)
]
