"""GELU in both memory formats."""

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
