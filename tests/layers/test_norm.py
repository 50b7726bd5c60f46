"""Norms of maps by their formulas."""

import pytest
import torch
from torch import nn

from mmsmlp.layers import LayerNorm2d, conv_norm


def test_layer_norm_of_a_map_is_that_of_each_token() -> None:
    torch.manual_seed(0)
    norm = LayerNorm2d(4).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, unbiased=False)
    expected = (x - mean) / (variance + 1e-5).sqrt()
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)


def conv_and_norm(norm: nn.Module, bias: bool) -> tuple[nn.Conv2d, nn.Module]:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=bias)
    for name, value in norm.named_buffers():
        if name.startswith("running"):
            value.uniform_(0.5, 2)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return conv.eval(), norm.eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "norm",
    [
        lambda: nn.BatchNorm2d(6),
        lambda: nn.SyncBatchNorm(6),
        lambda: nn.BatchNorm2d(6, affine=False),
        lambda: nn.BatchNorm2d(6, track_running_stats=False),
        lambda: nn.GroupNorm(2, 6),
        nn.Identity,
    ],
)
def test_a_norm_that_became_part_of_its_convolution_gives_the_same(norm, bias: bool) -> None:
    conv, norm = conv_and_norm(norm(), bias)
    x = torch.randn(2, 6, 7, 5)
    with torch.no_grad():
        torch.testing.assert_close(conv_norm(x, conv, norm, lean=True), norm(conv(x)))


def test_only_fixed_statistics_plain_convolutions_and_single_precision_are_folded() -> None:
    conv, norm = conv_and_norm(nn.BatchNorm2d(6), bias=False)
    x = torch.randn(2, 6, 7, 5)
    calls = []
    norm.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        conv_norm(x, conv, norm, lean=True)
        assert not calls
        conv_norm(x, conv, norm, lean=False)
        conv_norm(x, conv, norm.train(), lean=True)
        conv_norm(x, nn.Sequential(conv), norm.eval(), lean=True)
        conv_norm(x.bfloat16(), conv.bfloat16(), norm.bfloat16(), lean=True)
    assert len(calls) == 4
