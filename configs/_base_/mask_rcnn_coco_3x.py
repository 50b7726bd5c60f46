"""Mask R-CNN with FPN, COCO 3x: 36 epochs, batch 16; the backbone is still to choose.

Images of 480 to 800 pixels on the shorter side, half of them cropped (the augmentation of DETR),
schedule, AdamW and drop path are Swin-T's in mmdet. Here norms and biases do not decay, whatever
their names are.
"""

_base_ = "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py"

pretrained = None
model = dict(backbone=dict(_delete_=True, drop_path_rate=0.2))
optim_wrapper = dict(
    paramwise_cfg=dict(_delete_=True, norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0)
)
