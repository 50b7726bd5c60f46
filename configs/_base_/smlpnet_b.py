"""sMLPNet-B as part of a detector or segmentor; for both families of configs."""

_base_ = "smlpnet_t.py"

channels = [112, 224, 448, 896]
backbone = dict(arch="base")
neck = dict(in_channels=channels)
