"""Small Mask R-CNN, trained in minutes on two cores, to measure the effect of padding."""

_base_ = "../../_base_/mask_rcnn_coco_1x.py"

model = dict(
    neck=dict(out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, fc_out_channels=128),
        mask_roi_extractor=dict(out_channels=32),
        mask_head=dict(in_channels=32, conv_out_channels=32, num_convs=2),
    ),
)
