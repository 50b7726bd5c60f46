"""RetinaNet with FPN, COCO 1x: 12 epochs, batch 16, 1333×800; the backbone is still to choose.

Levels are Swin-T's in mmdet: FPN starts at stride 8, and unused stages are not built.
Swin-T has SGD there; here optimiser, warm-up and drop path are those of Mask R-CNN 1x.
"""

_base_ = "mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py"

pretrained = None
model = dict(backbone=dict(_delete_=True, drop_path_rate=0.2, out_indices=(1, 2, 3)))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
]
