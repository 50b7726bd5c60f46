"""sMLPNet-T as part of a detector or segmentor; for both families of configs."""

channels = [80, 160, 320, 640]
backbone = dict(
    type="mmsmlp.SMLPNet",
    arch="tiny",
    img_size=224,
    # Norms keep learning: statistics of 224×224 need not hold at other sizes.
    norm_cfg=dict(type="SyncBN", requires_grad=True),
)
# Of those that have one.
neck = dict(in_channels=channels)
# Training starts from statistics of its own images; see docs/norms.md.
custom_hooks = [dict(type="mmsmlp.PreciseBNHook", num_images=1000)]
