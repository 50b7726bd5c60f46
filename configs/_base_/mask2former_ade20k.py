"""Mask2Former, ADE20K: 160,000 iterations, batch 16, 512×512; the backbone is still to choose.

All but the backbone is mmseg's: augmentation, AdamW, a tenth of the learning rate for the backbone.
Norms, biases and embeddings do not decay. Drop path is Swin-T's there.
"""

# By its path, because mmengine finds `mmseg::` of OpenMMLab's own release only, not of the fork.
_base_ = (
    __import__("mmseg").__path__[0]
    + "/.mim/configs/mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py"
)

model = dict(backbone=dict(_delete_=True, drop_path_rate=0.3))

# mmengine's own constructor lets norms and biases decay where a custom key changes their rate.
optim_wrapper = dict(
    constructor="mmsmlp.DecayRulesOptimWrapperConstructor",
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
