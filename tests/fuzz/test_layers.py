"""Layers and necks of any settings, on maps of any size, type and layout."""

import re
from fractions import Fraction
from math import ceil, log2
from typing import Any

import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st
from torch import Tensor, nn

from mmsmlp.models.layers import (
    GELU,
    AblatedSparseMLP,
    AxialMixing,
    CentredLayerNorm2d,
    ChannelMLP,
    ConcatFusion,
    LayerNorm2d,
    Mean,
    PatchEmbed,
    SparseMLP,
    SplitAttention,
    WeightedSum,
    shifted_mean,
    shifted_sum,
    spatial_shift,
)
from mmsmlp.models.necks import SimpleFeaturePyramid

from tests.fuzz.odd import JUNK, TYPES, cases, directions, maps, odd_tensors  # isort: skip

CHANNELS = st.just(6)
FEW, MANY = st.integers(1, 5), st.integers(1, 40)
# Arguments by layer; where there are channels in, they are six.
LAYERS: dict[type[nn.Module], dict[str, st.SearchStrategy]] = {
    GELU: {},
    LayerNorm2d: dict(channels=CHANNELS),
    CentredLayerNorm2d: dict(channels=CHANNELS),
    PatchEmbed: dict(in_channels=CHANNELS, out_channels=FEW, patch_size=FEW, bias=st.booleans()),
    AxialMixing: dict(length=MANY, dim=st.sampled_from((-1, -2))),
    SparseMLP: dict(channels=CHANNELS, grid=st.tuples(MANY, MANY)),
    AblatedSparseMLP: dict(
        channels=CHANNELS,
        grid=st.tuples(MANY, MANY),
        fusion=st.sampled_from(("concat", "sum", "weighted_sum")),
        identity=st.booleans(),
        sequential=st.booleans(),
    ),
    ChannelMLP: dict(channels=CHANNELS, mlp_ratio=st.sampled_from((0.5, 1, 3))),
    ConcatFusion: dict(channels=CHANNELS, num_maps=FEW),
    WeightedSum: dict(channels=CHANNELS, num_maps=FEW),
    SplitAttention: dict(channels=CHANNELS, num_maps=FEW, num_tokens=MANY),
    Mean: dict(num_maps=FEW),
}


@st.composite
def layers(draw: st.DrawFn) -> tuple[type[nn.Module], dict[str, Any]]:
    """A layer, and its arguments."""
    layer = draw(st.sampled_from(list(LAYERS)))
    settings = {name: draw(values) for name, values in LAYERS[layer].items()}
    return layer, settings


def run(layer: nn.Module, settings: dict[str, Any], x: Tensor, shifts: list) -> Tensor:
    """What a layer makes of a map, and of its likes if it takes several."""
    if isinstance(layer, ChannelMLP):
        return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    if "num_maps" not in settings:
        return layer(x)
    several = [x + k for k in range(settings["num_maps"])]
    if isinstance(layer, ConcatFusion | WeightedSum):
        return sum(layer(several))
    joined = torch.cat(several, dim=1).permute(0, 2, 3, 1)
    weights = layer(shifted_mean(joined, shifts).to(x.dtype))
    return shifted_sum(joined, weights, shifts).permute(0, 3, 1, 2)


@given(layers(), maps(6), st.sampled_from(TYPES), st.booleans(), st.data())
@cases(0.5)
def test_any_layer_takes_any_map(
    layer: tuple, x: Tensor, dtype: torch.dtype, training: bool, data: st.DataObject
) -> None:
    layer_type, settings = layer
    module, x = layer_type(**settings).train(training).to(dtype), x.to(dtype)
    shifts = [data.draw(directions()) for _ in range(settings.get("num_maps", 0))]
    before = x.clone()
    y = run(module, settings, x, shifts)
    assert torch.equal(x, before)
    expected = list(x.shape)
    if layer_type is PatchEmbed:
        sides = (ceil(side / settings["patch_size"]) for side in x.shape[2:])
        expected = [len(x), settings["out_channels"], *sides]
    assert list(y.shape) == expected and y.dtype is dtype and y.isfinite().all()
    assert all(buffer.isfinite().all() for buffer in module.buffers())
    if dtype in (torch.float32, torch.float64):
        with torch.no_grad():
            again = run(module.eval(), settings, x.contiguous(), shifts)
        if layer_type is not CentredLayerNorm2d or not training:
            eps = 100 * torch.finfo(dtype).eps
            torch.testing.assert_close(again, y.detach(), rtol=eps, atol=eps * 255)


@given(layers(), st.data())
@cases(0.3)
def test_a_wrong_argument_of_a_layer_is_named(layer: tuple, data: st.DataObject) -> None:
    layer_type, settings = layer
    if not settings:
        return
    name = data.draw(st.sampled_from(list(settings)))
    settings[name] = data.draw(JUNK)
    try:
        module = layer_type(**settings)
        shifts = [()] * settings.get("num_maps", 0)
        y = run(module, settings, torch.randn(2, settings.get("channels", 6), 5, 3), shifts)
    except (TypeError, ValueError) as error:
        assert re.search(rf"\b{name}\b", str(error)), error
        event(f"{name} is refused")
    else:
        assert y.isfinite().all()
        event(f"{name} may be {settings[name]!r}")


@given(maps(6), directions())
@cases(0.1)
def test_any_shift_moves_tokens_of_any_map(x: Tensor, where: tuple) -> None:
    y = spatial_shift(x, where)
    assert y.shape == x.shape
    size = x.shape[1] // max(len(where), 1)
    rows, columns = torch.arange(x.shape[2])[:, None], torch.arange(x.shape[3])
    for k, (down, right) in enumerate(where):
        part = x[:, k * size : (k + 1) * size]
        above, left = rows - down, columns - right
        inside = (above >= 0) & (above < len(rows)) & (left >= 0) & (left < len(columns))
        moved = part[:, :, above.clamp(0, len(rows) - 1), left.clamp(0, len(columns) - 1)]
        assert torch.equal(y[:, k * size : (k + 1) * size], torch.where(inside, moved, part))


@st.composite
def necks(draw: st.DrawFn) -> dict[str, Any]:
    strides = st.sampled_from((4, 7, 8, 14, 16, 32))
    in_strides = sorted(draw(st.lists(strides, min_size=1, max_size=3, unique=True)))
    out_strides = draw(st.sampled_from(((4, 8, 16, 32), (8,), (4, 16), tuple(in_strides))))
    return dict(
        in_channels=[draw(st.sampled_from((8, 16))) for _ in in_strides],
        in_strides=in_strides,
        out_channels=draw(FEW),
        out_strides=out_strides,
        num_outs=len(out_strides) + draw(st.integers(0, 2)),
    )


def pyramid_sizes(settings: dict, sources: list[int], sides: list[tuple[int, int]]) -> list:
    """Sizes of the outputs."""
    sizes = []
    for i, stride in zip(sources, settings["out_strides"], strict=True):
        scale = Fraction(settings["in_strides"][i], stride)
        doublings = round(log2(scale))
        size = [ceil(side * scale / Fraction(2) ** doublings) for side in sides[i]]
        for _ in range(abs(doublings)):
            size = [2 * side if doublings > 0 else ceil(side / 2) for side in size]
        sizes.append(tuple(size))
    while len(sizes) < settings["num_outs"]:
        sizes.append(tuple(ceil(side / 2) for side in sizes[-1]))
    return sizes


@given(necks(), st.sampled_from(TYPES), st.data())
@cases(0.2)
def test_any_neck_takes_any_maps(settings: dict, dtype: torch.dtype, data: st.DataObject) -> None:
    try:
        neck = SimpleFeaturePyramid(**settings).to(dtype)
    except ValueError as error:
        assert "in_strides must each be the nearest" in str(error)
        return
    x = [data.draw(maps(c, most=64)).to(dtype) for c in settings["in_channels"]]
    x = [each[:1].expand(2, -1, -1, -1) if len(each) else each for each in x]
    outputs = neck(x)
    sizes = pyramid_sizes(settings, list(neck.sources), [tuple(each.shape[2:]) for each in x])
    assert [tuple(y.shape[2:]) for y in outputs] == sizes
    for y in outputs:
        assert y.is_contiguous() and y.dtype is dtype and y.isfinite().all()
        assert y.shape[1] == settings["out_channels"]


@given(necks(), st.data())
@cases(0.2)
def test_a_wrong_argument_of_a_neck_is_named(settings: dict, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(settings)))
    value = data.draw(JUNK)
    if isinstance(settings[name], (tuple, list)) and data.draw(st.booleans()):
        value = [value, *settings[name][1:]]
    settings[name] = value
    try:
        neck = SimpleFeaturePyramid(**settings)
        outputs = neck([torch.randn(1, c, 5, 3) for c in settings["in_channels"]])
    except (TypeError, ValueError) as error:
        # Strides that are allowed may ask for other ones, or for more channels.
        assert re.search(rf"\b({name}|in_strides|in_channels)\b", str(error)), error
        event(f"{name} is refused")
    else:
        assert all(y.isfinite().all() for y in outputs)
        event(f"{name} may be {value!r}")


@given(odd_tensors())
@cases(0.05)
def test_a_wrong_input_of_a_neck_is_named(x: Any) -> None:
    neck = SimpleFeaturePyramid([6], [16])
    with pytest.raises((TypeError, ValueError), match="inputs"):
        neck([x])
