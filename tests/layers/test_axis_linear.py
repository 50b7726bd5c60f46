"""Linear maps along an axis against einsum."""

import pytest
import torch

from mmsmlp.layers import axis_linear

FORMATS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dim", [-1, -2, -3, 1])
def test_equals_einsum(dim: int, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, 7, dtype=torch.float64).contiguous(memory_format=memory_format)
    weight = torch.randn(4, x.shape[dim], dtype=torch.float64)
    bias = torch.randn(4, dtype=torch.float64)
    moved = torch.einsum("oi,...i->...o", weight, x.movedim(dim, -1)) + bias
    y = axis_linear(x, weight, bias, dim)
    torch.testing.assert_close(y, moved.movedim(-1, dim))
    assert y.is_contiguous(memory_format=memory_format)


def test_any_strides_and_number_of_axes() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(3, 4), torch.randn(3)
    for x in (
        torch.randn(9, 4)[::2],
        torch.randn(2, 4, 1),
        torch.randn(5, 4, 6, 2, 3).permute(3, 1, 4, 0, 2),
        torch.randn(2, 4, 1, 1).expand(2, 4, 5, 6),
        torch.randn(2, 8, 5, 6)[:, ::2],
    ):
        expected = torch.nn.functional.linear(x.movedim(1, -1), weight, bias).movedim(-1, 1)
        torch.testing.assert_close(axis_linear(x, weight, bias, 1), expected)
