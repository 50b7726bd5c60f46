"""sMLPNet-S as part of a detector or segmentor; for both families of configs."""

channels = [96, 192, 384, 768]
backbone = dict(
    type="mmsmlp.SMLPNet",
    arch="small",
    img_size=224,
    # Norms keep learning: statistics of 224×224 need not hold at other sizes.
    norm_cfg=dict(type="SyncBN", requires_grad=True),
)
# Of those that have one.
neck = dict(in_channels=channels)
