"""The axial map against numpy written out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsmlp.layers import AxialMixing, resampling_matrix


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


def mix_by_hand(layer: AxialMixing, x: np.ndarray) -> np.ndarray:
    """y = U(Wx' + b), x' = Dx, line by line in float64."""
    weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
    axis = layer.dim
    length = x.shape[axis]
    down = triangle_resampling(length, layer.length)
    up = triangle_resampling(layer.length, length)
    return np.apply_along_axis(lambda line: up @ (weight @ (down @ line) + bias), axis, x)


@pytest.mark.parametrize("dim", [-1, -2])
# Both orders of the product (one L'×L' map up to 2.4 L, three factors beyond) and both directions.
@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 11, 14, 15, 40])
def test_any_length_equals_matrices_by_hand(dim: int, length: int) -> None:
    torch.manual_seed(length)
    layer = AxialMixing(6, dim)
    shape = (2, 3, 4, length) if dim == -1 else (2, 3, length, 4)
    x = torch.randn(shape)
    expected = mix_by_hand(layer, x.double().numpy())
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=2e-6)


def test_native_length_is_the_linear_map_bit_for_bit() -> None:
    layer = AxialMixing(9, dim=-1)
    x = torch.randn(2, 3, 5, 9)
    assert torch.equal(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))


def test_height_is_the_width_of_the_transpose() -> None:
    row, column = AxialMixing(9, dim=-1), AxialMixing(9, dim=-2)
    column.load_state_dict(row.state_dict())
    x = torch.randn(2, 3, 13, 7)
    torch.testing.assert_close(column(x), row(x.mT).mT)


@pytest.mark.parametrize("length", [3, 4, 10])
@pytest.mark.parametrize("dim", [-1, -2])
def test_gradients(length: int, dim: int) -> None:
    layer = AxialMixing(4, dim).double()
    x = torch.randn(1, 1, length, length, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: torch.func.functional_call(
            layer, {"weight": weight, "bias": bias}, (x,)
        ),
        (x, *layer.parameters()),
    )


def test_both_memory_formats_agree() -> None:
    layer = AxialMixing(5, dim=-2)
    x = torch.randn(2, 8, 7, 6)
    torch.testing.assert_close(layer(x.contiguous(memory_format=torch.channels_last)), layer(x))


def test_half_precision_resamples_with_the_rounded_matrix() -> None:
    exact = resampling_matrix(7, 12, torch.float64)
    half = resampling_matrix(7, 12, torch.bfloat16)
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half, exact.to(torch.bfloat16))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, -1), "length must be at least 1, got 0"), ((4, 1), "dim must be -1 .* got 1")],
)
def test_bad_arguments(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AxialMixing(*arguments)
