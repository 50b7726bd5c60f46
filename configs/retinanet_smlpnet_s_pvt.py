"""RetinaNet on sMLPNet-S, COCO 1x in PVT's setting: 12 epochs, batch 16, 1333×800."""

_base_ = ["_base_/retinanet_coco_pvt.py", "_base_/smlpnet_s_weights.py"]

model = dict(backbone=_base_.backbone, neck=dict(_base_.neck, in_channels=_base_.channels[1:]))
