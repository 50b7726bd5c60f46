"""ADE20K, 512×512: 40,000 iterations, batch 32, AdamW, as CycleMLP's paper trains Semantic FPN.

The setting is PVT's (arXiv 2102.12122): a learning rate and a weight decay of 1e-4 for all.
"""

_base_ = "ade20k_40k.py"

optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=1e-4),
)
