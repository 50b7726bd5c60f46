"""UperNet for the 150 classes of ADE20K, as Swin has it; the backbone is still to choose."""

norm_cfg = dict(type="SyncBN", requires_grad=True)
head = dict(num_classes=150, norm_cfg=norm_cfg, dropout_ratio=0.1, align_corners=False)

# Images are tested whole. To slide a window of the training size over them instead:
# --cfg-options model.test_cfg.mode=slide model.test_cfg.crop_size=512,512
#   model.test_cfg.stride=341,341
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(512, 512),
        pad_val=0,
        seg_pad_val=255,
    ),
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
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
