"""The axial map in its modes against numpy written out by hand."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mmsmlp.models.layers import AXIAL_MODES, AxialMixing, resampling_matrix, resize_axial_map

FORMATS = [torch.contiguous_format, torch.channels_last]
LENGTHS = [1, 2, 5, 6, 7, 11, 12, 18, 40, 1000]


def resampled(line: np.ndarray, weight: np.ndarray, bias: np.ndarray, shift: int) -> np.ndarray:
    """y = U(Wx' + b), x' = Dx."""
    down = resampling_matrix(len(line), len(bias), torch.float64).numpy()
    up = resampling_matrix(len(bias), len(line), torch.float64).numpy()
    return up @ (weight @ (down @ line) + bias)


def windowed(line: np.ndarray, weight: np.ndarray, bias: np.ndarray, shift: int) -> np.ndarray:
    """Each window by the part of W that lies on the line."""
    native = len(bias)
    y = np.empty_like(line)
    for start in range(-shift if len(line) > native else 0, len(line), native):
        first, stop = max(start, 0), min(start + native, len(line))
        part = slice(first - start, stop - start)
        y[first:stop] = weight[part, part] @ line[first:stop] + bias[part]
    return y


def relative(line: np.ndarray, weight: np.ndarray, bias: np.ndarray, shift: int) -> np.ndarray:
    """Every pair of tokens by the mean of a diagonal."""
    if len(line) == len(bias):
        return weight @ line + bias
    y = np.full_like(line, bias.mean())
    for offset in range(1 - len(bias), len(bias)):
        mean = np.diagonal(weight, offset).mean()
        for i in range(max(0, -offset), min(len(line), len(line) - offset)):
            y[i] += mean * line[i + offset]
    return y


BY_HAND = {"resample": resampled, "window": windowed, "relative": relative}


@pytest.mark.parametrize("channels", [3, 17])
@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("mode", AXIAL_MODES)
def test_any_length_equals_the_definition(mode: str, dim: int, shift: int, channels: int) -> None:
    torch.manual_seed(0)
    layer = AxialMixing(6, dim, mode, shift).double()
    weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
    for length in LENGTHS:
        shape = (2, channels, 2, length) if dim == -1 else (2, channels, length, 2)
        x = torch.randn(shape, dtype=torch.float64)
        expected = np.apply_along_axis(BY_HAND[mode], dim, x.numpy(), weight, bias, shift)
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
    assert layer.mode == "resample"


@pytest.mark.parametrize("mode", AXIAL_MODES)
def test_native_length_is_the_linear_map_bit_for_bit(mode: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 9)
    layer = AxialMixing(9, dim=-1, mode=mode, shift=4)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    # Sums of small integers are exact, so the order of a sum does not show.
    x = torch.randint(-8, 8, (2, 3, 9, 5)).float()
    layer = AxialMixing(9, dim=-2, mode=mode, shift=4)
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


@pytest.mark.parametrize("dim", [-1, -2])
def test_windows_of_a_multiple_are_native_maps_of_their_own(dim: int) -> None:
    torch.manual_seed(0)
    layer = AxialMixing(6, dim, "window")
    parts = [torch.randn(2, 3, 6, 6) for _ in range(4)]
    expected = torch.cat([layer(part) for part in parts], dim)
    torch.testing.assert_close(layer(torch.cat(parts, dim)), expected)
    # Shifted by half a window, the inner ones are native maps again.
    shifted = AxialMixing(6, dim, "window", shift=3)
    shifted.load_state_dict(layer.state_dict())
    x = torch.cat([torch.zeros_like(parts[0]).narrow(dim, 0, 3), *parts], dim)
    torch.testing.assert_close(shifted(x).narrow(dim, 3, 24), expected)


@pytest.mark.parametrize("length", [11, 30])
def test_offsets_commute_with_translation_away_from_borders(length: int) -> None:
    torch.manual_seed(0)
    layer = AxialMixing(6, dim=-1, mode="relative")
    x = F.pad(torch.randn(1, 2, 3, length - 10), (3, 7))
    torch.testing.assert_close(layer(x.roll(2, dims=-1))[..., 2:], layer(x)[..., :-2])


def test_height_is_the_width_of_the_transpose() -> None:
    for mode in AXIAL_MODES:
        row, column = AxialMixing(9, -1, mode, 4), AxialMixing(9, -2, mode, 4)
        column.load_state_dict(row.state_dict())
        x = torch.randn(2, 3, 13, 7)
        torch.testing.assert_close(column(x), row(x.mT).mT)


@pytest.mark.parametrize("length", [3, 4, 6, 10])
@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("mode", AXIAL_MODES)
def test_gradients(mode: str, dim: int, length: int) -> None:
    layer = AxialMixing(4, dim, mode, shift=2).double()
    shape = (1, 17, 2, length) if dim == -1 else (1, 17, length, 2)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, weight, bias: torch.func.functional_call(
            layer, {"weight": weight, "bias": bias}, (x,)
        ),
        (x, *layer.parameters()),
    )


@pytest.mark.parametrize("mode", AXIAL_MODES)
def test_autocast_stays_within_a_few_roundings(mode: str, half: torch.dtype) -> None:
    """Of a value and of what it is made of: x, W, the resampling and the result are rounded."""
    torch.manual_seed(0)
    layer = AxialMixing(14, -2, mode, shift=7)
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


def test_the_mode_may_change_and_nothing_derived_is_kept() -> None:
    torch.manual_seed(0)
    layer, x = AxialMixing(6, dim=-1), torch.randn(1, 2, 3, 15)
    before = copy.deepcopy(layer.state_dict())
    outputs = {}
    for mode in AXIAL_MODES:
        layer.mode = mode
        outputs[mode] = layer(x)
        twin = pickle.loads(pickle.dumps(layer))
        assert torch.equal(twin(x), outputs[mode])
        assert len(pickle.dumps(layer)) == len(pickle.dumps(copy.deepcopy(layer)))
    assert list(layer.state_dict()) == ["weight", "bias"] and not list(layer.buffers())
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
    assert not torch.allclose(outputs["resample"], outputs["window"])
    assert not torch.allclose(outputs["resample"], outputs["relative"])


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


def test_what_is_no_axial_map_is_not_resized() -> None:
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
        ((4, -1, "stretch"), r"mode must be one of \('resample', 'window', 'relative'\), got 's"),
        ((4, -1, "window", 4), r"shift must be in \[0, 4\), got 4"),
        (("x", -1), "length must be a whole number, got 'x'"),
        ((4, -1, "window", 1.5), "shift must be a whole number, got 1.5"),
    ],
)
def test_bad_arguments(arguments: tuple, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        AxialMixing(*arguments)


def test_few_channels_in_bfloat16() -> None:
    """As a convolution, oneDNN would not return from it."""
    torch.manual_seed(0)
    layer = AxialMixing(31, dim=-1, mode="relative")
    x = torch.randn(2, 16, 14, 93).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    torch.testing.assert_close(y.float(), layer(x).detach(), rtol=0, atol=0.02)
