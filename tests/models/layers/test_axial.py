"""The axial map against numpy written out by hand."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mmsmlp.models.layers import AxialMixing, resampling_matrix, resize_axial_map

FORMATS = [torch.contiguous_format, torch.channels_last]
LENGTHS = [1, 2, 5, 6, 7, 11, 12, 18, 40, 1000]


def resampled(line: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """y = U(Wx' + b), x' = Dx."""
    down = resampling_matrix(len(line), len(bias), torch.float64).numpy()
    up = resampling_matrix(len(bias), len(line), torch.float64).numpy()
    return up @ (weight @ (down @ line) + bias)


@pytest.mark.parametrize("channels", [3, 17])
@pytest.mark.parametrize("dim", [-1, -2])
def test_any_length_equals_the_definition(dim: int, channels: int) -> None:
    torch.manual_seed(0)
    layer = AxialMixing(6, dim).double()
    weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
    for length in LENGTHS:
        shape = (2, channels, 2, length) if dim == -1 else (2, channels, length, 2)
        x = torch.randn(shape, dtype=torch.float64)
        expected = np.apply_along_axis(resampled, dim, x.numpy(), weight, bias)
        for memory_format in FORMATS:
            y = layer(x.contiguous(memory_format=memory_format)).detach()
            np.testing.assert_allclose(y, expected, atol=1e-10, err_msg=str(length))


def test_weights_begin_as_those_of_a_linear_layer() -> None:
    """Uniform within ±1/√L: variance 1/(3L)."""
    torch.manual_seed(0)
    layer = AxialMixing(100, dim=-1)
    for parameter in layer.parameters():
        assert parameter.abs().max() <= 0.1
    assert layer.weight.var().item() == pytest.approx(1 / 300, rel=0.05)


def test_native_length_is_the_linear_map_bit_for_bit() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 9)
    layer = AxialMixing(9, dim=-1)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    # Sums of small integers are exact, so the order of a sum does not show.
    x = torch.randint(-8, 8, (2, 3, 9, 5)).float()
    layer = AxialMixing(9, dim=-2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randint(-8, 8, parameter.shape))
    expected = F.linear(x.mT, layer.weight, layer.bias).mT
    for memory_format in FORMATS:
        assert torch.equal(layer(x.contiguous(memory_format=memory_format)), expected)


@pytest.mark.parametrize("length", [3, 9, 27, 45])
def test_resampling_a_constant_and_a_ramp(length: int) -> None:
    """A constant arrives as one; W = 1 gives a ramp back, away from the borders.

    The triangle that goes down by a whole number is symmetric in its samples; others are not.
    """
    layer = AxialMixing(9, dim=-1).double()
    y = layer(torch.full((1, 1, 1, length), 2.5, dtype=torch.float64))
    native = layer.weight.sum(dim=1) * 2.5 + layer.bias
    torch.testing.assert_close(y[0, 0, 0], resampling_matrix(9, length, torch.float64) @ native)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(9))
        layer.bias.fill_(-1)
    ramp = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    border = -(-2 * length // 9) if length > 9 else 1
    y = layer(ramp.expand(1, 1, 1, -1))[0, 0, 0]
    torch.testing.assert_close(y[border:-border], ramp[border:-border] - 1)


def test_height_is_the_width_of_the_transpose() -> None:
    row, column = AxialMixing(9, -1), AxialMixing(9, -2)
    column.load_state_dict(row.state_dict())
    x = torch.randn(2, 3, 13, 7)
    torch.testing.assert_close(column(x), row(x.mT).mT)


@pytest.mark.parametrize("length", [3, 4, 6, 10])
@pytest.mark.parametrize("dim", [-1, -2])
def test_gradients(dim: int, length: int) -> None:
    layer = AxialMixing(4, dim).double()
    shape = (1, 17, 2, length) if dim == -1 else (1, 17, length, 2)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: torch.func.functional_call(
            layer, {"weight": weight, "bias": bias}, (x,)
        ),
        (x, *layer.parameters()),
    )


def test_autocast_stays_within_a_few_roundings(half: torch.dtype) -> None:
    """Of a value and of what it is made of: x, W, the resampling and the result are rounded."""
    torch.manual_seed(0)
    layer = AxialMixing(14, -2)
    for length in (5, 14, 20, 70):
        x = torch.randn(2, 8, length, 3)
        with torch.autocast("cpu", half):
            y = layer(x)
        assert (y - layer(x)).abs().max() < 4 * torch.finfo(half).eps, length


class Copies(TorchDispatchMode):
    """Collects what copies a tensor of some size, padding apart."""

    def __init__(self, numel: int) -> None:
        super().__init__()
        self.numel = numel
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        y = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("clone", "copy_", "contiguous", "_to_copy") and y.numel() >= self.numel:
            self.found.append(name)
        return y


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dim", [-1, -2])
def test_no_copies_in_either_memory_format(dim: int, memory_format: torch.memory_format) -> None:
    layer = AxialMixing(6, dim)
    for size in (4, 6, 10, 30):
        x = torch.randn(2, 8, size, size).contiguous(memory_format=memory_format)
        with torch.no_grad(), Copies(x.numel() // 8) as copies:
            y = layer(x)
        assert not copies.found
        assert y.is_contiguous(memory_format=memory_format)


def test_nothing_derived_is_kept() -> None:
    torch.manual_seed(0)
    layer, x = AxialMixing(6, dim=-1), torch.randn(1, 2, 3, 15)
    y = layer(x)
    twin = pickle.loads(pickle.dumps(layer))
    assert torch.equal(twin(x), y)
    assert list(layer.state_dict()) == ["weight", "bias"] and not list(layer.buffers())


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("length", [4, 15])
def test_a_state_dict_of_another_length_is_resized(length: int, strict: bool) -> None:
    torch.manual_seed(0)
    source, target = AxialMixing(9, dim=-1).double(), AxialMixing(length, dim=-1).double()
    state = source.state_dict()
    saved = copy.deepcopy(state)
    result = target.load_state_dict(state, strict=strict)
    assert not result.missing_keys and not result.unexpected_keys
    torch.testing.assert_close(state, saved, rtol=0, atol=0)
    x = torch.randn(1, 2, 3, length, dtype=torch.float64)
    torch.testing.assert_close(target(x), source(x))


def test_other_tensors_than_axial_maps_are_not_resized() -> None:
    layer = AxialMixing(4, dim=-1)
    for weight, bias in ((torch.ones(5, 3), torch.ones(5)), (torch.ones(5, 5), torch.ones(6))):
        assert resize_axial_map(weight, bias, 4)[0] is weight
        with pytest.raises(RuntimeError, match="size mismatch for weight"):
            layer.load_state_dict({"weight": weight, "bias": bias})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, -1), "length must be at least 1, got 0"),
        ((4, 1), "dim must be -1 .* got 1"),
        (("x", -1), "length must be an integer, got 'x'"),
    ],
)
def test_bad_arguments(arguments: tuple, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        AxialMixing(*arguments)
