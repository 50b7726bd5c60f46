"""Mask R-CNN with FPN, COCO 1x: 12 epochs, batch 16, 1333×800; the backbone is still to choose.

Schedule, AdamW and drop path are Swin-T's in mmdet. Here norms and biases do not decay, whatever
their names are.
"""

_base_ = "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py"

pretrained = None
model = dict(backbone=dict(_delete_=True, drop_path_rate=0.2))
optim_wrapper = dict(
    paramwise_cfg=dict(_delete_=True, norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0)
)
