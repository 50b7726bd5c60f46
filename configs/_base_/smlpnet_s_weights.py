"""sMLPNet-S with its authors' weights, as part of a detector or segmentor."""

_base_ = "smlpnet_s.py"

backbone = dict(init_cfg=dict(type="Pretrained", checkpoint="mmsmlp://smlpnet_s_in1k"))
