"""UperNet for the 150 classes of ADE20K, as Swin-T has it in mmseg; the backbone is to choose."""

_base_ = "segmentor.py"

norm_cfg = dict(type="SyncBN", requires_grad=True)
head = dict(num_classes=150, norm_cfg=norm_cfg, dropout_ratio=0.1, align_corners=False)

model = dict(
    backbone=dict(drop_path_rate=0.3),
    decode_head=dict(
        type="UPerHead",
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
        **head,
    ),
    auxiliary_head=dict(
        type="FCNHead",
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=0.4),
        **head,
    ),
)
