"""Mask2Former, ADE20K: 160,000 iterations, batch 16, 512×512; the backbone is still to choose.

All but the backbone is mmseg's: augmentation, AdamW, a tenth of the learning rate for the backbone,
whose norms do not decay. Drop path is Swin-T's there.
"""

# By its path, because mmengine finds `mmseg::` of OpenMMLab's own release only, not of the fork.
_base_ = (
    __import__("mmseg").__path__[0]
    + "/.mim/configs/mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py"
)

model = dict(backbone=dict(_delete_=True, drop_path_rate=0.3))

# The longest key that is part of a parameter's name counts. Heads have no norms of such names.
backbone_norms = [f".norm{i}.{name}" for i in range(4) for name in ("weight", "bias")]
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={name: dict(lr_mult=0.1, decay_mult=0.0) for name in backbone_norms}
    )
)
