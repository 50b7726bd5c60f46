"""Shared settings of segmentors on ADE20K; backbone and head are still to choose."""

# Complete images are tested. To slide a window of the training size over them instead:
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
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
