"""sMLPNet's recipe for ImageNet-1K (arXiv 2109.05422).

AdamW with weight decay 0.05, batch 1024, 300 epochs, cosine from 1e-3 to 1e-5, label smoothing,
RandAugment, repeated augmentation, MixUp and CutMix are the paper's; their strengths and five
epochs of warm-up are DeiT's, for the paper gives none.
"""

_base_ = "in1k.py"

# The paper erases nothing.
train_pipeline = [step for step in _base_.train_pipeline if step["type"] != "RandomErasing"]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
