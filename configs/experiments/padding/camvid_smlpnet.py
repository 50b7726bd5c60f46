"""A small sMLPNet, strides 4, 8, 16, 32, on CamVid with images that differ in size."""

_base_ = ["_camvid_.py", "../_base_/smlpnet.py"]

backbone = _base_.backbone
backbone["arch"].update(patch_sizes=(4, 2, 2, 2))
backbone.update(img_size=128)
model = dict(backbone=backbone)
