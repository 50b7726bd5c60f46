"""Mask R-CNN with FPN on S²-MLPv2-Small/4, COCO 1x: 12 epochs, batch 16, 1333×800."""

_base_ = "_base_/mask_rcnn_coco_1x.py"

model = dict(
    backbone=dict(_delete_=True, type="mmsmlp.S2MLPv2", arch="small/4", drop_path_rate=0.1),
    # Layer norms leave all tokens a common part, which grows in training and drowns what differs;
    # batch norms take it away.
    neck=dict(in_channels=[64, 128, 320, 512], norm_cfg=dict(type="SyncBN")),
    roi_head=dict(mask_head=dict(norm_cfg=dict(type="SyncBN"))),
)
# What split attention weighs by is a sum over thousands of tokens: at the rate of other layers it
# would choose one map for good within a few steps.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"fusion.weight1": dict(lr_mult=0.01)}))
