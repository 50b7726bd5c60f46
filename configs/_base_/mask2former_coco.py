"""Mask2Former, instances of COCO: 50 epochs, batch 16, 1024×1024; the backbone is still to choose.

All but the backbone is mmdet's: large-scale jitter, AdamW, a tenth of the learning rate for the
backbone. Norms, biases and embeddings do not decay. Drop path is Swin-T's there.
"""

_base_ = "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py"

model = dict(backbone=dict(_delete_=True, drop_path_rate=0.3))

# mmengine's own constructor lets norms and biases decay where a custom key changes their rate.
optim_wrapper = dict(
    constructor="mmsmlp.DecayRulesOptimWrapperConstructor",
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
