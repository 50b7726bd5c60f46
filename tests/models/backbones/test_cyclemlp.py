"""CycleMLP against its authors' numbers, and against their deformable convolution."""

import pytest
import torch
from torch import nn
from torchvision.ops import deform_conv2d

from mmsmlp.checkpoints import CYCLEMLP
from mmsmlp.models.backbones import CycleMLP
from mmsmlp.models.backbones.cyclemlp import CycleMixing, CycleMLPBlock
from mmsmlp.models.layers import CycleFC

ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 2, 1, 1), mlp_ratios=(4, 4, 4, 4))


@pytest.fixture
def converted(cyclemlp_weights: dict) -> dict[str, torch.Tensor]:
    return CYCLEMLP.convert(cyclemlp_weights)[0]


@pytest.mark.parametrize("size", ["64x64", "64x96"])
@pytest.mark.parametrize("recorded", [False, True])
def test_every_stage_has_the_authors_numbers(
    cyclemlp_golden, converted, size: str, recorded: bool
) -> None:
    network = CycleMLP(ARCH).eval()
    for i in range(4):  # the reference is before any norm
        setattr(network, f"norm{i}", nn.Identity())
    weights = {key.removeprefix("backbone."): value for key, value in converted.items()}
    missing, unexpected = network.load_state_dict(weights, strict=False)
    assert not missing
    assert {name.rpartition(".")[0] for name in unexpected} == {"norm3", "head.fc"}
    with torch.set_grad_enabled(recorded):
        outputs = network(cyclemlp_golden[f"input_{size}"])
    for i, y in enumerate(outputs):
        torch.testing.assert_close(y, cyclemlp_golden[f"stage{i}_{size}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", ["64x64", "64x96"])
def test_the_classifier_has_the_authors_logits(cyclemlp_golden, converted, size: str) -> None:
    network = CycleMLP(ARCH, out_indices=-1).eval()
    weights = {key.removeprefix("backbone."): value for key, value in converted.items()}
    head = nn.Linear(32, 10)
    head.load_state_dict(
        dict(weight=weights.pop("head.fc.weight"), bias=weights.pop("head.fc.bias"))
    )
    network.load_state_dict(weights)
    logits = head(network(cyclemlp_golden[f"input_{size}"])[0].mean(dim=(2, 3)))
    torch.testing.assert_close(logits, cyclemlp_golden[f"logits_{size}"], rtol=0, atol=1e-5)


class DeformableCycleFC(nn.Module):
    """As the authors compute it: a deformable 1×1 convolution with constant offsets."""

    def __init__(self, of: CycleFC) -> None:
        super().__init__()
        self.weight, self.bias = of.weight, of.bias
        offset = torch.zeros(1, 2 * of.in_features, 1, 1)
        for i in range(of.in_features):
            # Pairs of (down, right) for each channel.
            offset[0, 2 * i + (of.dim == 2)] = (i + 1) % 3 - 1
        self.register_buffer("offset", offset.to(of.weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, h, w, _ = x.shape
        offset = self.offset.expand(n, -1, h, w)
        y = deform_conv2d(x.permute(0, 3, 1, 2), offset, self.weight[:, :, None, None], self.bias)
        return y.permute(0, 2, 3, 1)


def with_deform_conv(network: nn.Module) -> nn.Module:
    """The network with its own weights and the authors' operator."""
    for module in network.modules():
        if isinstance(module, CycleMixing):
            module.row = DeformableCycleFC(module.row)
            module.column = DeformableCycleFC(module.column)
    return network


@pytest.mark.parametrize("size", [(5, 7), (1, 4), (2, 1), (1, 1)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("channels", [4, 9, 16])
def test_gradients_are_those_of_deform_conv2d(channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block = CycleMLPBlock(channels, mlp_ratio=2, drop_path=0).double()
    x = torch.randn(2, channels, *size, dtype=torch.float64, requires_grad=True)
    grad = torch.randn_like(x)

    def results() -> list[torch.Tensor]:
        y = block(x)
        return [y, *torch.autograd.grad(y, [x, *block.parameters()], grad)]

    names = [name for name, _ in block.named_parameters()]
    ours = dict(zip(["y", "x", *names], results(), strict=True))
    with_deform_conv(block)
    theirs = dict(
        zip(["y", "x", *(n for n, _ in block.named_parameters())], results(), strict=True)
    )
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-9, atol=1e-9)


def test_a_size_that_nothing_divides_is_padded_at_the_bottom_and_right(converted: dict) -> None:
    """The authors' stem would drop what is beyond the last whole stride."""
    network = CycleMLP(ARCH, out_indices=(0,)).eval()
    weights = {key.removeprefix("backbone."): value for key, value in converted.items()}
    network.load_state_dict(weights, strict=False)
    x = torch.randn(1, 3, 61, 38)
    stem = network.stages[0].patch_embed
    y = stem(x)
    assert y.shape == (1, 8, 16, 10)
    padded = nn.functional.pad(x, (0, 2, 0, 3))
    expected = nn.functional.conv2d(padded, stem.weight, stem.bias, stride=4, padding=2)
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(arch="b6"), "arch must be one of .'b1', 'b2', 'b3', 'b4', 'b5'. or a dict, got 'b6'"),
        (dict(arch=dict(ARCH, mlp_ratios=(4, 4))), r"mlp_ratios must be 4, one per stage, got \(4"),
        (dict(arch=dict(ARCH, mlp_ratios=4)), "mlp_ratios must be 4, one per stage, got 4"),
        (dict(arch=dict(ARCH, mlp_ratios=(4, 4, 0, 4))), "mlp_ratios must be finite and above 0"),
        (dict(arch=dict(ARCH, embed_dims=(2, 4, 8, 8))), "embed_dims must each be at least 4"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as error:
        CycleMLP(**arguments)
    assert "\n" not in str(error.value)
