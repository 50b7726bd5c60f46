"""sMLPNet-S as part of a detector or segmentor; for both families of configs."""

_base_ = "smlpnet_t.py"

channels = [96, 192, 384, 768]
backbone = dict(arch="small")
neck = dict(in_channels=channels)
