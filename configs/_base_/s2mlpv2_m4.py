"""S²-MLPv2-Medium/4 as part of a detector or segmentor; for both families of configs."""

channels = [64, 128, 320, 512]
backbone = dict(type="mmsmlp.S2MLPv2", arch="medium/4")
# Layer norms leave all tokens a common part, which grows in training and drowns what differs; batch
# norms take it away.
neck = dict(in_channels=channels, norm_cfg=dict(type="SyncBN"))
mask_head = dict(norm_cfg=dict(type="SyncBN"))
