"""sMLPNet of 0.8M parameters, strides 2, 4, 8, 16."""

backbone = dict(
    type="mmsmlp.SMLPNet",
    arch=dict(
        embed_dims=(24, 48, 96, 192),
        depths=(1, 2, 4, 1),
        patch_sizes=(2, 2, 2, 2),
        mlp_ratio=3,
    ),
    img_size=32,
)
