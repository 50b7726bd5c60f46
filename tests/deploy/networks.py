"""Small networks to export."""

import torch
from torch import nn

from mmsmlp.deploy.exporting import Loaded
from mmsmlp.models.backbones import S2MLP, CycleMLP, S2MLPv2, SMLPNet

NETWORKS = {
    "smlpnet": lambda: SMLPNet(
        dict(embed_dims=(8, 16, 24), depths=(1, 1, 1), mlp_ratio=3),
        img_size=96,
        out_indices=(0, 1, 2),
    ),
    "s2mlpv2": lambda: S2MLPv2(
        dict(embed_dims=(8, 16), depths=(2, 1), patch_sizes=(4, 2), mlp_ratio=3),
        img_size=96,
        out_indices=(0, 1),
    ),
    "cyclemlp": lambda: CycleMLP(
        dict(embed_dims=(8, 16), depths=(2, 1), mlp_ratios=(3, 2)), out_indices=(0, 1)
    ),
    "s2mlp": lambda: S2MLP(
        dict(embed_dims=12, depth=2, patch_size=16, mlp_ratio=4), out_indices=(1,)
    ),
}


def random_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    for key, value in network.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point():
            value.add_(torch.randn_like(value), alpha=0.1)
    return network


def loaded(network: nn.Module) -> Loaded:
    return Loaded(network, dict(classes=("a", "b"), palette=[(1, 2, 3), (4, 5, 6)]), "all of it")
