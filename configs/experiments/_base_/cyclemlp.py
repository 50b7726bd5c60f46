"""CycleMLP of 1M parameters, strides 2, 4, 8, 16."""

backbone = dict(
    type="mmsmlp.CycleMLP",
    arch=dict(
        embed_dims=(24, 48, 96, 192),
        depths=(1, 2, 4, 1),
        patch_sizes=(2, 2, 2, 2),
        mlp_ratios=(3, 3, 3, 3),
    ),
    drop_path_rate=0.0,
)
