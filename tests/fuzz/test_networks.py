"""Networks of any settings, on images of any size, type and layout."""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from itertools import accumulate
from math import ceil, prod
from operator import mul
from typing import Any

import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st
from torch import Tensor, nn

from mmsmlp.models.backbones import S2MLP, CycleMLP, S2MLPv2, SMLPNet
from mmsmlp.models.backbones.settings import TRAINING_PADDING
from mmsmlp.models.layers import IDENTITY_SHIFT, SS1, SS2

from tests.fuzz.odd import JUNK, TYPES, cases, directions, maps, odd_tensors  # isort: skip


@st.composite
def pyramids(draw: st.DrawFn) -> dict[str, Any]:
    """An arch of one to four stages."""
    stages = draw(st.integers(1, 4))

    def each(values: st.SearchStrategy[int]) -> tuple[int, ...]:
        return tuple(draw(st.lists(values, min_size=stages, max_size=stages)))

    return dict(
        embed_dims=each(st.integers(4, 20)),
        depths=each(st.integers(1, 2)),
        # Large maps of small patches would take seconds.
        patch_sizes=(draw(st.sampled_from((2, 3, 4, 7))), *each(st.integers(1, 3))[1:]),
        mlp_ratio=draw(st.sampled_from((1, 2, 1.5))),
    )


@st.composite
def outputs(draw: st.DrawFn, stages: int) -> dict[str, Any]:
    """Stages that are returned, in any order and counted from either end, and frozen ones."""
    indices = draw(st.lists(st.integers(0, stages - 1), min_size=1, unique=True))
    named = [draw(st.sampled_from((i, i - stages))) for i in indices]
    form = draw(st.sampled_from((list, tuple)))
    return dict(
        out_indices=named[0] if len(named) == 1 and draw(st.booleans()) else form(named),
        frozen_stages=draw(st.integers(-1, max(indices) + 1)),
    )


@st.composite
def smlpnets(draw: st.DrawFn) -> dict[str, Any]:
    arch = draw(pyramids())
    stages = len(arch["depths"])
    local = draw(st.none() | st.lists(st.integers(0, stages - 1), unique=True))
    rest = sorted(set(range(stages)) - set(local or []))
    return dict(
        arch=arch,
        img_size=draw(st.integers(1, 64) | st.tuples(st.integers(1, 64), st.integers(1, 64))),
        norm_eval=draw(st.booleans()),
        norm_cfg=dict(type="BN", eps=draw(st.sampled_from((1e-5, 1e-3)))),
        local_stages=local,
        global_stages=rest if draw(st.booleans()) else None,
        smlp_cfg=dict(
            fusion=draw(st.sampled_from(("concat", "sum", "weighted_sum"))),
            identity=draw(st.booleans()),
            sequential=draw(st.booleans()),
        ),
        **draw(outputs(stages)),
    )


@st.composite
def s2mlpv2s(draw: st.DrawFn) -> dict[str, Any]:
    arch = draw(pyramids())
    return dict(
        arch=arch,
        img_size=draw(st.integers(1, 500)),
        shifts=draw(
            st.just((SS1, SS2, IDENTITY_SHIFT)) | st.lists(directions(), min_size=1, max_size=3)
        ),
        fusion=draw(st.sampled_from(("split_attention", "mean"))),
        **draw(outputs(len(arch["depths"]))),
    )


@st.composite
def cyclemlps(draw: st.DrawFn) -> dict[str, Any]:
    arch = draw(pyramids())
    ratio = arch.pop("mlp_ratio")
    arch["embed_dims"] = [max(channels, 4) for channels in arch["embed_dims"]]
    arch["mlp_ratios"] = [ratio] * len(arch["depths"])
    return dict(arch=arch, **draw(outputs(len(arch["depths"]))))


@st.composite
def s2mlps(draw: st.DrawFn) -> dict[str, Any]:
    depth = draw(st.integers(1, 4))
    arch = dict(
        embed_dims=draw(st.integers(1, 12)),
        depth=depth,
        patch_size=draw(st.sampled_from((2, 4, 7, 16))),
        mlp_ratio=draw(st.sampled_from((1, 2, 1.5))),
    )
    return dict(arch=arch, directions=draw(directions()), **draw(outputs(depth)))


SETTINGS = {SMLPNet: smlpnets(), S2MLPv2: s2mlpv2s(), CycleMLP: cyclemlps(), S2MLP: s2mlps()}


def training_paddings(settings: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """Both, unless batch norms learn."""
    return st.sampled_from(TRAINING_PADDING if settings.get("norm_eval", True) else ("include",))


@st.composite
def networks(draw: st.DrawFn) -> tuple[type[nn.Module], dict[str, Any]]:
    """A network, and its arguments."""
    network = draw(st.sampled_from(list(SETTINGS)))
    settings = draw(SETTINGS[network])
    return network, dict(
        settings,
        training_padding=draw(training_paddings(settings)),
        in_channels=draw(st.integers(1, 4)),
        drop_path_rate=draw(st.sampled_from((0.0, 0.1, 0.9))),
        with_cp=draw(st.booleans()),
        init_cfg=None,
    )


def levels(settings: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Channels and stride of each stage, by the settings alone."""
    arch = settings["arch"]
    if "depth" in arch:
        return [(arch["embed_dims"], arch["patch_size"])] * arch["depth"]
    return list(zip(arch["embed_dims"], accumulate(arch["patch_sizes"], mul), strict=True))


def indices(settings: Mapping[str, Any]) -> list[int]:
    """Stages that are returned, counted from the first."""
    given, stages = settings["out_indices"], len(levels(settings))
    return [i % stages for i in ([given] if isinstance(given, int) else given)]


def has_a_lonely_token(settings: Mapping[str, Any], x: Tensor) -> bool:
    """Whether a batch norm that learns meets one token, of which there is no deviation."""
    if settings.get("norm_eval", True):  # or there is no batch norm
        return False
    learning = range(max(settings["frozen_stages"], 0), max(indices(settings)) + 1)
    strides = [levels(settings)[i][1] for i in learning]
    return any(len(x) * prod(ceil(side / s) for side in x.shape[2:]) == 1 for s in strides)


@given(st.data())
@cases(0.7)
def test_any_network_takes_any_image(data: st.DataObject) -> None:
    network_type, settings = data.draw(networks())
    x = data.draw(maps(settings["in_channels"]))
    dtype, training = data.draw(st.sampled_from(TYPES)), data.draw(st.booleans())
    autocast = dtype in (torch.float16, torch.bfloat16) and data.draw(st.booleans())
    network = network_type(**settings).train(training)
    if not autocast:
        network, x = network.to(dtype), x.to(dtype)
    if training and has_a_lonely_token(settings, x):
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            network_type(**dict(settings, with_cp=False)).to(dtype)(x.to(dtype))
        return

    before = x.clone()
    with torch.autocast("cpu", dtype) if autocast else nullcontext():
        y = network(x)
    assert torch.equal(x, before)
    for each, i in zip(y, indices(settings), strict=True):
        channels, stride = levels(settings)[i]
        assert each.shape == (len(x), channels, *(ceil(side / stride) for side in x.shape[2:]))
        assert each.is_contiguous() and each.isfinite().all()
        assert autocast or each.dtype is dtype
    for name, buffer in network.named_buffers():
        assert buffer.isfinite().all(), name

    if not training and dtype in (torch.float32, torch.float64):
        # In a plain layout, and without a backward pass: then maps are overwritten.
        with torch.no_grad():
            again = network(x.contiguous())
        eps = 1000 * torch.finfo(dtype).eps
        torch.testing.assert_close(again, tuple(m.detach() for m in y), rtol=eps, atol=eps)
    if learning := [m.float() for m in y if m.requires_grad]:
        sum((m * torch.randn_like(m)).sum() for m in learning).backward()
    for name, parameter in network.named_parameters():
        # In float16 a loss is scaled such that they are.
        if parameter.grad is not None and dtype is not torch.float16:
            assert parameter.grad.isfinite().all(), name


@given(st.data())
@cases(0.4)
def test_a_wrong_setting_is_named(data: st.DataObject) -> None:
    network_type, settings = data.draw(networks())
    smlp = settings.get("smlp_cfg", {})
    places = [(part, key) for part in (settings, settings["arch"], smlp) for key in part]
    part, name = data.draw(st.sampled_from(places))
    value = data.draw(JUNK)
    if isinstance(part[name], (tuple, list)) and part[name] and data.draw(st.booleans()):
        value = [value, *part[name][1:]]
    part[name] = value
    try:
        network = network_type(**settings)
        if name == "init_cfg":
            network.init_weights()
        y = network.eval()(torch.randn(2, network.in_channels, 20, 9))
    except (TypeError, ValueError) as error:
        # Python itself names the class that an unknown key of smlp_cfg is passed to.
        assert re.search(rf"\b({name}|AblatedSparseMLP)\b", str(error)), error
        event(f"{name} is refused")
    else:
        assert all(m.isfinite().all() for m in y)
        event(f"{name} may be {value!r}")


@given(networks(), odd_tensors())
@cases(0.1)
def test_a_wrong_image_is_named(network: tuple[type[nn.Module], dict[str, Any]], x: Any) -> None:
    network_type, settings = network
    with pytest.raises((TypeError, ValueError), match=r"\bx must be|\bx must have"):
        network_type(**settings)(x)
