"""S²-MLP-wide on ImageNet-1K: 300 epochs, batch 1024, 224×224, all of it as DeiT has it."""

_base_ = "_base_/in1k.py"

model = dict(
    # These images have no padding, and a GPU would be waited for to know.
    backbone=dict(type="mmsmlp.S2MLP", arch="wide", drop_path_rate=0.1, training_padding="include"),
    head=dict(in_channels=768),
)
