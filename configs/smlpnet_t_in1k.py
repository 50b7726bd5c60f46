"""sMLPNet-T on ImageNet-1K: 300 epochs, batch 1024, 224×224."""

_base_ = "_base_/smlpnet_in1k.py"

# Its drop path is the variant's own.
model = dict(
    backbone=dict(type="mmsmlp.SMLPNet", arch="tiny", img_size=224, out_indices=3),
    head=dict(in_channels=640),
)
