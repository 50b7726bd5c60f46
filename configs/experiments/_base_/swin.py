"""A small Swin Transformer, strides 2, 4, 8, 16, windows of 4×4."""

backbone = dict(
    type="mmpretrain.SwinTransformer",
    arch=dict(embed_dims=24, depths=[1, 2, 4, 1], num_heads=[1, 2, 4, 8]),
    img_size=32,
    patch_size=2,
    window_size=4,
    drop_path_rate=0.0,
    pad_small_map=True,
)
