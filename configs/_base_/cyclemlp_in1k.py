"""CycleMLP on ImageNet-1K: its authors' script is DeiT's (arXiv 2107.10224, appendix).

Images are tested as that script does: shorter side 256, bicubic, centre crop of 224. (The settings
of timm beside their networks name a crop of 0.9, a shorter side of 248, which the script ignores.)
"""

_base_ = "in1k.py"

# Spelt out, because the published accuracy depends on it.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeEdge", scale=256, edge="short", backend="pillow", interpolation="bicubic"),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackInputs"),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
