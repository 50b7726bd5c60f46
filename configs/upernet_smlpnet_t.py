"""UperNet on sMLPNet-T, ADE20K: 160,000 iterations, batch 16, 512×512."""

_base_ = ["_base_/upernet.py", "_base_/ade20k_160k.py"]

model = dict(
    backbone=dict(
        type="mmsmlp.SMLPNet",
        arch="tiny",
        img_size=224,
        drop_path_rate=0.2,
        # Norms keep learning: statistics of 224×224 need not hold at 512×512.
        norm_cfg=dict(type="SyncBN", requires_grad=True),
    ),
    decode_head=dict(in_channels=[80, 160, 320, 640]),
    auxiliary_head=dict(in_channels=320),
)
