"""Resampling against numpy written out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from mmsmlp.models.layers import resampling_matrix, upsample
from mmsmlp.models.layers.resampling import (
    _AddUpsampled,
    add_upsampled,
    cached_resampling_matrix,
)


def triangle_resampling(source: int, target: int) -> np.ndarray:
    """Linear resampling with half-pixel centres, entry by entry."""
    matrix = np.zeros((target, source))
    ratio = source / target
    support = max(ratio, 1.0)
    for i in range(target):
        centre = (i + 0.5) * ratio
        for j in range(source):
            matrix[i, j] = max(0.0, 1 - abs(j + 0.5 - centre) / support)
        matrix[i] /= matrix[i].sum()
    return matrix


lengths = st.integers(min_value=1, max_value=40)


@settings(deadline=None, max_examples=60)
@given(source=lengths, target=lengths)
def test_resampling_matrix_equals_the_formula(source: int, target: int) -> None:
    matrix = resampling_matrix(source, target, torch.float64).numpy()
    np.testing.assert_allclose(matrix, triangle_resampling(source, target), atol=1e-12)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(source=lengths, target=lengths)
def test_resampling_matrix_equals_the_antialiased_resize_of_torch(source: int, target: int) -> None:
    resized = torch.nn.functional.interpolate(
        torch.eye(source)[None, None], (target, source), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(resampling_matrix(source, target), resized[0, 0], atol=2e-6, rtol=0)


def test_known_resamplings() -> None:
    # Going up by two, a sample keeps 3/4 of itself and takes 1/4 of its neighbour.
    up = resampling_matrix(2, 4)
    torch.testing.assert_close(
        up, torch.tensor([[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]])
    )
    # Going down by two, the triangle is four samples wide: 1, 3, 3, 1 eighths.
    down = resampling_matrix(8, 4)
    torch.testing.assert_close(down[1], torch.tensor([0, 1, 3, 3, 1, 0, 0, 0]) / 8)
    assert torch.equal(resampling_matrix(7, 7), torch.eye(7))


def test_ramp_survives_going_up_and_down() -> None:
    """Linear interpolation is exact on a line, away from the borders that it clamps."""
    coarse = torch.arange(10, dtype=torch.float64) + 0.5
    fine = (torch.arange(30, dtype=torch.float64) + 0.5) / 3
    up = resampling_matrix(10, 30, torch.float64)
    torch.testing.assert_close((up @ coarse)[2:-2], fine[2:-2])
    down = resampling_matrix(30, 10, torch.float64)
    torch.testing.assert_close((down @ fine)[1:-1], coarse[1:-1])


def test_half_precision_rounds_the_exact_matrix() -> None:
    exact = resampling_matrix(7, 12, torch.float64)
    half = resampling_matrix(7, 12, torch.bfloat16)
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half, exact.to(torch.bfloat16))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(6, 6), (6, 7), (11, 6), (18, 50)])
def test_going_up_is_the_product_with_the_matrix(
    size: tuple[int, int], memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64).contiguous(memory_format=memory_format)
    rows, columns = (resampling_matrix(6, length, torch.float64) for length in size)
    expected = rows @ x @ columns.T
    y = upsample(x, size)
    torch.testing.assert_close(y, expected)
    assert y.is_contiguous(memory_format=memory_format)
    assert (y is x) is (size == (6, 6))


def test_matrices_are_built_once_per_lengths_type_and_device() -> None:
    x = torch.zeros(1)
    assert cached_resampling_matrix(31, 17, x) is cached_resampling_matrix(31, 17, x)
    others = [
        cached_resampling_matrix(17, 31, x),
        cached_resampling_matrix(31, 17, x.double()),
        cached_resampling_matrix(31, 17, x.to("meta")),
    ]
    assert [(y.shape, y.dtype, y.device.type) for y in others] == [
        ((31, 17), torch.float32, "cpu"),
        ((17, 31), torch.float64, "cpu"),
        ((17, 31), torch.float32, "meta"),
    ]


def test_cached_models_serve_later_requests() -> None:
    with FakeTensorMode():
        fake = cached_resampling_matrix(29, 13, torch.zeros(1))
    with torch.inference_mode():
        kept = cached_resampling_matrix(29, 13, torch.zeros(1))
    assert type(fake) is not torch.Tensor and type(kept) is torch.Tensor
    weight = torch.ones(29, requires_grad=True)
    (kept @ weight).sum().backward()
    assert weight.grad is not None and not kept.requires_grad


@pytest.mark.parametrize("size", [(5, 9), (4, 7)])
def test_adding_by_products_equals_upsampling_and_adding(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    height, width = size
    inputs = [
        torch.randn(2, 3, *shape, dtype=torch.float64)
        .to(memory_format=torch.channels_last)
        .requires_grad_()
        for shape in [size, (height, 4), (3, width)]
    ]
    y, row, column = inputs
    expected = y + upsample(row, size) + upsample(column, size)
    ours = _AddUpsampled.apply(y.clone(), row, column)
    torch.testing.assert_close(ours, expected)
    grad = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(ours, inputs, grad), torch.autograd.grad(expected, inputs, grad)
    )
    y = y.detach().clone()
    assert add_upsampled(y, row.detach(), column.detach()) is y
    torch.testing.assert_close(y, expected.detach())
