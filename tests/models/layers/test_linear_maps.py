"""Linear maps of tokens and along axes, in the fast form and in the plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmsmlp.models.layers import Linear, axis_linear, linear
from mmsmlp.models.layers import linear_maps as module

FORMATS = [torch.contiguous_format, torch.channels_last]


class Operators(TorchDispatchMode):
    """Collects the names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def operators(function) -> list[str]:
    with torch.no_grad(), Operators() as recorded:
        function()
    return recorded.names


def tokens(shape: tuple[int, ...], form: str) -> Tensor:
    """Tokens of channels, (..., C), in several orders of memory."""
    x = torch.randn(*shape, 24)
    if form == "channels first":
        return x.movedim(-1, 0).contiguous().movedim(0, -1)
    return torch.cat([x, x], dim=-1)[..., ::2] if form == "strided" else x


@pytest.mark.parametrize("form", ["contiguous", "channels first", "strided"])
@pytest.mark.parametrize("shape", [(1,), (7, 5), (2, 3, 11), (1, 1, 1), (0, 4)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_the_fast_form_is_the_plain_one(
    bias: bool, shape: tuple[int, ...], form: str, convolutions: None
) -> None:
    """Outputs and all gradients, within 1e-5 of the largest value."""
    torch.manual_seed(0)
    x = tokens(shape, form).requires_grad_()
    layer = Linear(24, 40, bias=bias)
    weights = torch.randn(*shape, 40)
    results = []
    for y in (layer(x), F.linear(x, layer.weight, layer.bias)):
        gradients = torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()])
        results.append([y, *gradients])
    for fast, plain in zip(*results, strict=True):
        scale = plain.abs().max().item() if plain.numel() else 1.0
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-5 * scale)


def test_it_is_a_convolution_where_that_pays(convolutions: None) -> None:
    x, weight = torch.randn(6, 24), torch.randn(40, 24)
    assert "convolution" in operators(lambda: linear(x, weight))
    assert "convolution" in operators(lambda: linear(x.bfloat16(), weight.bfloat16()))
    assert "convolution" not in operators(lambda: linear(x.double(), weight.double()))
    on_meta = x.to("meta"), weight.to("meta")
    assert "convolution" not in operators(lambda: linear(*on_meta))


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("SMALL_PRODUCT", 6 * 24 * 40 + 1),
        ("_made_by_intel", lambda: True),
        ("torch.get_num_threads", lambda: 1),
        ("torch.backends.cpu.get_cpu_capability", lambda: "AVX2"),
        ("torch.backends.mkl.is_available", lambda: False),
    ],
)
def test_it_is_not_where_it_does_not(
    what: str, value, convolutions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = torch.randn(6, 24), torch.randn(40, 24)
    monkeypatch.setattr(f"mmsmlp.models.layers.linear_maps.{what}", value)
    module.convolutions_are_faster.cache_clear()
    assert "convolution" not in operators(lambda: linear(x, weight))


def test_the_maker_of_the_processor_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(module, "CPUINFO", cpuinfo)
    cpuinfo.write_text("vendor_id\t: GenuineIntel\n")
    assert module._made_by_intel()
    cpuinfo.write_text("vendor_id\t: AuthenticAMD\n")
    assert not module._made_by_intel()
    cpuinfo.unlink()
    monkeypatch.setattr("platform.processor", lambda: "Intel64 Family 6 Model 85, GenuineIntel")
    assert module._made_by_intel()


def test_autocast_rounds_as_it_does_for_the_plain_form(half, convolutions: None) -> None:
    torch.manual_seed(0)
    x, layer = torch.randn(50, 24), Linear(24, 40)
    with torch.autocast("cpu", half):
        fast, plain = layer(x), F.linear(x, layer.weight, layer.bias)
    assert fast.dtype is plain.dtype is half
    torch.testing.assert_close(fast, plain, rtol=0, atol=2 * torch.finfo(half).eps)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("dim", [-1, -2, -3, 1])
def test_an_axis_equals_einsum(dim: int, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, 7, dtype=torch.float64).contiguous(memory_format=memory_format)
    weight = torch.randn(4, x.shape[dim], dtype=torch.float64)
    bias = torch.randn(4, dtype=torch.float64)
    moved = torch.einsum("oi,...i->...o", weight, x.movedim(dim, -1))
    for offset in (bias, None):
        y = axis_linear(x, weight, offset, dim)
        expected = moved if offset is None else moved + offset
        torch.testing.assert_close(y, expected.movedim(-1, dim))
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
        expected = F.linear(x.movedim(1, -1), weight, bias).movedim(-1, 1)
        torch.testing.assert_close(axis_linear(x, weight, bias, 1), expected)
