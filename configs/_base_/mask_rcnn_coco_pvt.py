"""Mask R-CNN with FPN, COCO 1x: 12 epochs, batch 16, 1333×800; the backbone is still to choose.

PVT's setting (arXiv 2102.12122), in which CycleMLP's paper reports: AdamW of 1e-4 with weight decay
1e-4 for all parameters, one scale. All else is mmdet's.
"""

_base_ = [
    "mmdet::_base_/models/mask-rcnn_r50_fpn.py",
    "mmdet::_base_/datasets/coco_instance.py",
    "mmdet::_base_/schedules/schedule_1x.py",
    "mmdet::_base_/default_runtime.py",
]

model = dict(backbone=dict(_delete_=True, drop_path_rate=0.1))
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=1e-4, weight_decay=1e-4))
