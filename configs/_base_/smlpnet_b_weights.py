"""sMLPNet-B with its authors' weights, as part of a detector or segmentor."""

_base_ = "smlpnet_b.py"

backbone = dict(init_cfg=dict(type="Pretrained", checkpoint="mmsmlp://smlpnet_b_in1k"))
