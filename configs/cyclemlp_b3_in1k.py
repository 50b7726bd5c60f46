"""CycleMLP-B3 on ImageNet-1K: 300 epochs, batch 1024, 224×224, or its authors' weights."""

_base_ = "_base_/cyclemlp_in1k.py"

# The authors' weights: python -m mmsmlp test mmsmlp::cyclemlp_b3_in1k.py mmsmlp://cyclemlp_b3_in1k
model = dict(
    backbone=dict(type="mmsmlp.CycleMLP", arch="b3", drop_path_rate=0.1, out_indices=3),
    head=dict(in_channels=512),
)
