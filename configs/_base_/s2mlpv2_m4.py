"""S²-MLPv2-Medium/4 as part of a detector or segmentor; for both families of configs."""

channels = [64, 128, 320, 512]
backbone = dict(type="mmsmlp.S2MLPv2", arch="medium/4")
neck = dict(in_channels=channels)
