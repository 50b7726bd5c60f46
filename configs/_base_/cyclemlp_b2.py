"""CycleMLP-B2 with its authors' weights, as part of a detector or segmentor."""

_base_ = "cyclemlp_b1.py"

backbone = dict(arch="b2", init_cfg=dict(checkpoint="mmsmlp://cyclemlp_b2_in1k"))
