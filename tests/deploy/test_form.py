"""The form of export computes what the network computes."""

import copy

import pytest
import torch
from torch import nn

from mmsmlp.deploy import export_form
from mmsmlp.registry import MODELS

PYRAMID = dict(embed_dims=(8, 12), depths=(2, 1), patch_sizes=(4, 2), mlp_ratio=2)
SMLP = dict(type="mmsmlp.SMLPNet", arch=PYRAMID, out_indices=(1, 0), img_size=64)
NETWORKS = {
    "smlpnet": SMLP,
    "smlpnet_sum": dict(SMLP, smlp_cfg=dict(fusion="sum", sequential=True)),
    "smlpnet_weighted": dict(SMLP, smlp_cfg=dict(fusion="weighted_sum", identity=False)),
    "smlpnet_parts": dict(SMLP, local_stages=(0,), global_stages=(1,)),
    "smlpnet_groups": dict(SMLP, norm_cfg=dict(type="GN", num_groups=2)),
    "s2mlpv2": dict(type="mmsmlp.S2MLPv2", arch=PYRAMID),
    "s2mlpv2_mean": dict(type="mmsmlp.S2MLPv2", arch=PYRAMID, fusion="mean"),
    "cyclemlp": dict(
        type="mmsmlp.CycleMLP",
        arch=dict(embed_dims=(8, 12), depths=(2, 1), mlp_ratios=(2, 2)),
        out_indices=(0, 1),
    ),
    "s2mlp": dict(
        type="mmsmlp.S2MLP",
        arch=dict(embed_dims=10, depth=3, patch_size=16, mlp_ratio=2),
        out_indices=(0, 2),
    ),
}
# Below the native size on one axis or both, there, and above; of one token.
SIZES = [(32, 32), (97, 61), (64, 64), (130, 203), (40, 180), (3, 2)]


def random_network(cfg: dict) -> nn.Module:
    """With no parameter or statistic at a value that could hide something."""
    torch.manual_seed(0)
    network = MODELS.build(copy.deepcopy(cfg)).eval()
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point():
            value.add_(torch.randn_like(value), alpha=0.1)
    return network


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_form_equals_network(name: str) -> None:
    network = random_network(NETWORKS[name])
    before = copy.deepcopy(network.state_dict())
    form = export_form(network)
    for size in SIZES:
        x = torch.randn(2, 3, *size)
        for expected, y in zip(network(x), form(x), strict=True):
            assert y.is_contiguous()
            torch.testing.assert_close(
                y / expected.abs().max(), expected / expected.abs().max(), atol=1e-5, rtol=0
            )
    torch.testing.assert_close(network.state_dict(), before, atol=0, rtol=0)


def test_no_batch_norm_is_left_where_it_can_be_folded() -> None:
    form = export_form(random_network(SMLP))
    assert not [m for m in form.modules() if isinstance(m, nn.BatchNorm2d)]


def test_a_layer_that_took_the_place_of_ours_is_called() -> None:
    """Such as one with an adapter."""
    network = random_network(NETWORKS["s2mlpv2"])
    network.stages[0].blocks[0].s2.fc1 = nn.Sequential(
        network.stages[0].blocks[0].s2.fc1, nn.Tanh()
    )
    x = torch.randn(1, 3, 40, 60)
    torch.testing.assert_close(export_form(network)(x), network(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["smlpnet", "s2mlpv2", "s2mlp"])
@torch.no_grad()
def test_maps_go_on_as_over_padding(name: str) -> None:
    network = random_network(NETWORKS[name])
    form = export_form(network, divisor=48)
    for height, width in [(96, 144), (97, 61), (30, 50)]:
        x = torch.randn(2, 3, height, width)
        padded = nn.functional.pad(x, (0, -width % 48, 0, -height % 48))
        for expected, y in zip(network(padded), form(x), strict=True):
            scale = expected.abs().max()
            torch.testing.assert_close(y / scale, expected / scale, atol=1e-5, rtol=0)


class Shared(nn.Module):
    """Two branches of one convolution with a norm each, as RTMDet's head has them."""

    def __init__(self) -> None:
        super().__init__()
        convolution = nn.Conv2d(3, 4, 3)
        self.branches = nn.ModuleList(
            nn.Sequential(convolution, nn.BatchNorm2d(4)) for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [branch(x) for branch in self.branches]


@torch.no_grad()
def test_a_shared_convolution_takes_in_each_of_its_norms() -> None:
    torch.manual_seed(0)
    model = Shared().eval()
    for branch in model.branches:
        branch[1].running_var.uniform_(0.5, 2)
        branch[1].running_mean.normal_()
    form = export_form(model)
    assert not [m for m in form.modules() if isinstance(m, nn.BatchNorm2d)]
    x = torch.randn(1, 3, 9, 9)
    for ours, theirs in zip(form(x), model(x), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_upsampling_of_mmseg_is_open_to_any_size() -> None:
    mmseg = pytest.importorskip("mmseg.models.utils.wrappers")
    upsample = nn.Sequential(mmseg.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    form = export_form(upsample)
    assert type(form[0]).__name__ == "UpsampleForm"
    x = torch.randn(1, 3, 9, 7)
    torch.testing.assert_close(form(x), upsample(x))
