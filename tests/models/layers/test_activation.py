"""GELU in both memory formats, in and out of place."""

import weakref

import pytest
import torch
from torch import nn

from mmsmlp.models.layers import GELU


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_it_is_the_gelu_in_any_memory_format(
    dtype: torch.dtype, memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, dtype=dtype).contiguous(memory_format=memory_format)
    double = x.double()
    expected = (double * 0.5 * (1 + torch.erf(double / 2**0.5))).to(dtype)
    y = GELU()(x)
    torch.testing.assert_close(y, expected)
    assert y.is_contiguous(memory_format=memory_format)
    written = x.clone(memory_format=torch.preserve_format)
    assert GELU()(written, inplace=True).data_ptr() == written.data_ptr()
    torch.testing.assert_close(written, expected)
    assert not torch.equal(x, written)


@pytest.mark.parametrize("of_gradient", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gradients_may_arrive_in_another_memory_format(
    memory_format: torch.memory_format, of_gradient: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=memory_format).requires_grad_()
    gradient = torch.randn(2, 3, 4, 5)
    (ours,) = torch.autograd.grad(GELU()(x), x, gradient.contiguous(memory_format=of_gradient))
    plain = x.detach().double().requires_grad_()
    (theirs,) = torch.autograd.grad(nn.GELU()(plain), plain, gradient.double())
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_gelu_computed_again_changes_no_number(
    memory_format: torch.memory_format, compiler: None
) -> None:
    """Numbers, gradients and gradients of gradients are the same."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 3, 3, padding=1, groups=3).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=memory_format)
    inputs = x.requires_grad_(), *conv.parameters()

    def ours(*_) -> torch.Tensor:
        return GELU().then(conv, x, inplace=False)

    def plain(*_) -> torch.Tensor:
        return conv(nn.GELU()(x))

    results = []
    for function in (ours, plain):
        y = function()
        first = torch.autograd.grad(y.sin().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), inputs)
        results.append([y, *first, *second])
    torch.testing.assert_close(*results)


def test_the_output_is_freed_when_what_follows_has_run(compiler: None) -> None:
    seen = []

    def watched(y: torch.Tensor) -> torch.Tensor:
        seen.append(weakref.ref(y))
        return layer(y)

    x, layer = torch.randn(2, 3, requires_grad=True), nn.Linear(3, 3)
    y = GELU().then(watched, x, inplace=False)
    assert seen[0]() is None
    y.sum().backward()
    assert torch.equal(layer.weight.grad, nn.GELU()(x).sum(dim=0).expand(3, -1))


def test_it_leaves_saving_to_checkpointing(compiler: None) -> None:
    """Whose hooks would not see what is kept here."""
    x, layer = torch.randn(2, 3, requires_grad=True), nn.Linear(3, 3)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        GELU().then(layer, x, inplace=False)
    assert any(torch.equal(saved, nn.GELU()(x)) for saved in kept)
