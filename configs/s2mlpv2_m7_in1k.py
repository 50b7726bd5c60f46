"""S²-MLPv2-Medium/7 on ImageNet-1K: 300 epochs, batch 744, 224×224."""

_base_ = "s2mlpv2_s7_in1k.py"

model = dict(backbone=dict(arch="medium/7"), head=dict(in_channels=512))

# The paper's batch for Medium: on one GPU 8 steps of 93 images.
train_dataloader = dict(batch_size=93)
auto_scale_lr = dict(base_batch_size=744)
