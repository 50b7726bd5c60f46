"""Cascade Mask R-CNN with FPN, COCO 3x: 36 epochs, batch 16; the backbone is still to choose.

Heads (four convolutions with SyncBN, GIoU), augmentation and schedule are those that mmdet has for
ConvNeXt-T, which it took from Swin's authors. Optimiser and drop path are Swin-T's in mmdet.
"""

_base_ = (
    "mmdet::convnext/cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py"
)

custom_imports = checkpoint_file = None
model = dict(backbone=dict(_delete_=True, drop_path_rate=0.2))
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
