"""sMLPNet-B as part of a detector or segmentor; for both families of configs."""

channels = [112, 224, 448, 896]
backbone = dict(
    type="mmsmlp.SMLPNet",
    arch="base",
    img_size=224,
    # Norms keep learning: statistics of 224×224 need not hold at other sizes.
    norm_cfg=dict(type="SyncBN", requires_grad=True),
)
# Of those that have one.
neck = dict(in_channels=channels)
