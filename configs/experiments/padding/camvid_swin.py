"""A small Swin Transformer, strides 4, 8, 16, 32, on CamVid with images that differ in size."""

_base_ = ["_camvid_.py", "../_base_/swin.py"]

backbone = _base_.backbone
backbone.update(patch_size=4)
model = dict(backbone=backbone)
