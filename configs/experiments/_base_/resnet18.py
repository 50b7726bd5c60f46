"""ResNet-18 with 20 base channels (1.1M parameters) and no pooling, strides 2, 4, 8, 16."""

backbone = dict(
    type="mmpretrain.ResNet_CIFAR",
    depth=18,
    stem_channels=20,
    base_channels=20,
    strides=(2, 2, 2, 2),
)
