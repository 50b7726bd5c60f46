"""Mask2Former, instances of COCO: 50 epochs, batch 16, 1024×1024; the backbone is still to choose.

All but the backbone is mmdet's: large-scale jitter, AdamW, a tenth of the learning rate for the
backbone, whose norms do not decay. Drop path is Swin-T's there.
"""

_base_ = "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py"

model = dict(backbone=dict(_delete_=True, drop_path_rate=0.3))

# The longest key that is part of a parameter's name counts. Heads have no norms of such names.
backbone_norms = [f".norm{i}.{name}" for i in range(4) for name in ("weight", "bias")]
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={name: dict(lr_mult=0.1, decay_mult=0.0) for name in backbone_norms}
    )
)
