"""A small sMLPNet on CIFAR-10 at five sizes, drawn anew each iteration.

5 epochs of 1.49 times the tokens are 1.49 times the compute of 5 epochs at 32×32.
"""

_base_ = "cifar10_smlpnet.py"

# 32×32 has the fewest tokens of the sizes that matter, and is the hardest: it is drawn most often.
model = dict(
    train_cfg=dict(
        augments=dict(
            type="mmsmlp.datasets.transforms.MultiResolution",
            sizes=[24, 32, 32, 32, 32, 32, 40, 48, 64],
        )
    )
)
