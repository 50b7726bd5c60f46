"""RetinaNet with FPN, COCO 1x: 12 epochs, batch 16, 1333×800; the backbone is still to choose.

PVT's setting (arXiv 2102.12122), in which CycleMLP's paper reports, as mmdet has it: AdamW of 1e-4
with weight decay 1e-4 for all parameters, one scale. FPN starts at stride 8, and unused
stages are not built.
"""

_base_ = "mmdet::pvt/retinanet_pvt-t_fpn_1x_coco.py"

model = dict(
    backbone=dict(_delete_=True, drop_path_rate=0.1, out_indices=(1, 2, 3)),
    neck=dict(start_level=0),
)
