"""The simple feature pyramid: sizes, places and what each level is made from."""

from fractions import Fraction
from importlib import import_module
from math import ceil

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmsmlp.models.necks import SimpleFeaturePyramid
from mmsmlp.models.necks.simple_feature_pyramid import rescale


@pytest.mark.parametrize("size", [(14, 14), (13, 21), (1, 1), (5, 64)])
@pytest.mark.parametrize("strides", [[16], [7, 14], [14], [16, 16, 16, 16]])
def test_any_size_gives_the_strides_and_gradients_everywhere(
    strides: list[int], size: tuple[int, int]
) -> None:
    """Input sizes are those of a first map of ``size``."""
    torch.manual_seed(0)
    neck = SimpleFeaturePyramid([8] * len(strides), strides, out_channels=6, num_outs=6)
    image = [length * strides[0] for length in size]
    inputs = [
        torch.randn(2, 8, *(ceil(length / s) for length in image), requires_grad=True)
        for s in strides
    ]
    outputs = neck(inputs)
    assert len(outputs) == 6
    for y, stride in zip(outputs, (4, 8, 16, 32, 64, 128), strict=True):
        # A level may reach beyond the image by less than a token of what it is made from.
        for i, length in enumerate(image):
            assert y.shape[2 + i] >= ceil(length / stride)
            assert y.shape[2 + i] * stride < length + 2 * max(stride, 16)
    sum((y * torch.randn_like(y)).sum() for y in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in neck.parameters())
    assert all(x.grad.any() for x in inputs) or size == (1, 1)


def test_outputs_are_contiguous() -> None:
    """Else RoIAlign of mmcv silently computes something else."""
    neck = SimpleFeaturePyramid([8], [16], out_channels=6, num_outs=6)
    image = torch.randn(2, 8, 14, 9).contiguous(memory_format=torch.channels_last)
    assert all(y.is_contiguous() for y in neck([image]))


@pytest.mark.parametrize(("stride", "target"), [(14, 16), (7, 8), (13, 16), (11, 8), (20, 16)])
@pytest.mark.parametrize("length", [3, 8, 13, 29])
def test_rescaling_keeps_tokens_in_their_places(stride: int, target: int, length: int) -> None:
    """A map of the pixel that a token is centred on stays one, but at the very border."""
    centres = (torch.arange(length) + 0.5) * stride
    x = centres.expand(1, 1, 4, length).contiguous()
    y = rescale(x, Fraction(stride, target))[0, 0, 0]
    assert len(y) == ceil(length * stride / target)
    expected = (torch.arange(len(y)) + 0.5) * target
    inside = (expected >= centres[0]) & (expected <= centres[-1])
    assert inside.any()
    torch.testing.assert_close(y[inside], expected[inside])


@pytest.mark.parametrize("stride", [28, 14, 56])
def test_ratios_that_floats_round_give_no_token_too_many(stride: int) -> None:
    """As floats, 28 / 25 * 25 is above 28."""
    neck = SimpleFeaturePyramid([8], [stride], out_channels=6, out_strides=[25])
    (y,) = neck([torch.randn(1, 8, 25, 50)])
    assert y.shape[2:] == (stride, 2 * stride)


def test_levels_follow_the_layers_of_the_paper() -> None:
    neck = SimpleFeaturePyramid([32], in_strides=[16])
    kinds = [[type(layer).__name__ for layer in level.resize] for level in neck.levels]
    assert kinds == [
        ["ConvTranspose2d", "LayerNorm2d", "GELU", "ConvTranspose2d"],
        ["ConvTranspose2d"],
        [],
        ["MaxPool2d"],
    ]
    assert [level.project[0].in_channels for level in neck.levels] == [8, 16, 32, 32]


def layer_norm(x: Tensor, norm: nn.Module) -> Tensor:
    """Over the channels of each token, by its formula."""
    deviation = x - x.mean(dim=1, keepdim=True)
    x = deviation / (deviation.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
    return x * norm.weight[:, None, None] + norm.bias[:, None, None]


def doubled(x: Tensor, layer: nn.Module) -> Tensor:
    """A transposed convolution whose patches do not overlap: each token becomes two by two."""
    y = torch.einsum("nchw,cdij->ndhiwj", x, layer.weight).flatten(2, 3).flatten(3, 4)
    return y + layer.bias[:, None, None]


def test_levels_equal_their_formula() -> None:
    torch.manual_seed(0)
    neck = SimpleFeaturePyramid([16], in_strides=[16], out_channels=6).double()
    for parameter in neck.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 16, 5, 7, dtype=torch.float64)
    first, norm, _, second = neck.levels[0].resize
    pooled = F.pad(x, (0, 1, 0, 1), value=-torch.inf).unfold(2, 2, 2).unfold(3, 2, 2)
    resized = [
        doubled(F.gelu(layer_norm(doubled(x, first), norm)), second),
        doubled(x, neck.levels[1].resize[0]),
        x,
        pooled.amax(dim=(4, 5)),
    ]
    for y, level, at_stride in zip(neck([x]), neck.levels, resized, strict=True):
        conv1, norm1, conv3, norm3 = level.project
        expected = torch.einsum("nchw,dc->ndhw", at_stride, conv1.weight[:, :, 0, 0])
        expected = F.conv2d(layer_norm(expected, norm1), conv3.weight, padding=1)
        torch.testing.assert_close(y, layer_norm(expected, norm3))


def test_each_level_takes_the_input_of_the_nearest_stride() -> None:
    neck = SimpleFeaturePyramid([8, 12], in_strides=[7, 14])
    assert neck.sources == [0, 0, 1, 1]
    assert [level.scale for level in neck.levels] == [0.875] * 4


def test_as_many_inputs_as_levels_go_one_to_one() -> None:
    neck = SimpleFeaturePyramid([8] * 4, in_strides=[16] * 4).eval()
    inputs = list(torch.randn(4, 1, 8, 6, 6))
    before = neck(inputs)
    inputs[2] = torch.randn(1, 8, 6, 6)
    after = neck(inputs)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [
        True,
        True,
        False,
        True,
    ]


def test_extra_outputs_are_every_other_token() -> None:
    neck = SimpleFeaturePyramid([8], in_strides=[16], num_outs=5).eval()
    outputs = neck([torch.randn(1, 8, 7, 9)])
    assert torch.equal(outputs[4], outputs[3][:, :, ::2, ::2])


@pytest.mark.parametrize("library", ["mmdet", "mmseg"])
@pytest.mark.parametrize(
    ("backbone", "channels", "strides"),
    [
        (dict(type="mmsmlp.S2MLP", arch="wide"), [768], [16]),
        (dict(type="mmsmlp.S2MLPv2", arch="small/7"), [192, 384], [7, 14]),
    ],
)
def test_serves_the_networks_under_every_library(
    library: str, backbone: dict, channels: list[int], strides: list[int]
) -> None:
    pytest.importorskip(library)
    registry = import_module(f"{library}.registry").MODELS
    backbone = registry.build(backbone)
    neck = registry.build(
        dict(type="mmsmlp.SimpleFeaturePyramid", in_channels=channels, in_strides=strides)
    )
    assert backbone.channels == channels and backbone.strides == strides
    outputs = neck(backbone(torch.randn(1, 3, 64, 100)))
    assert [y.shape[1] for y in outputs] == [256] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(in_channels=[8], in_strides=[7, 14]), "in_strides must be as many as in_channels"),
        (dict(in_channels=[8], in_strides=[16], num_outs=3), "num_outs must be at least 4"),
        (
            dict(in_channels=[8, 8], in_strides=[16, 16]),
            r"in_strides must each be the nearest to one of .*, got \[16\] of \[16, 16\]",
        ),
        (dict(in_channels=[8], in_strides=[0]), r"in_strides must each be at least 1, got \[0\]"),
        (dict(in_channels=8, in_strides=[16]), "in_channels must be integers, got 8"),
        (
            dict(in_channels=[], in_strides=[]),
            "in_channels, in_strides and out_strides must not be",
        ),
        (
            dict(in_channels=[3], in_strides=[16]),
            "in_channels must be at least 4 to make a level 4",
        ),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        MODELS.build(dict(type="mmsmlp.SimpleFeaturePyramid", **arguments))


def test_a_wrong_number_of_inputs_is_named() -> None:
    with pytest.raises(ValueError, match="inputs must be 1 maps, got 2"):
        SimpleFeaturePyramid([8], in_strides=[16])([torch.zeros(1, 8, 4, 4)] * 2)


@pytest.mark.parametrize(
    "x", [torch.zeros(1, 4, 4, 4), torch.zeros(8, 4, 4), torch.zeros(1, 8, 0, 4), None]
)
def test_an_input_that_is_no_map_is_named(x: Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"inputs must be maps \(N, C, H, W\) of \[8\] channels"):
        SimpleFeaturePyramid([8], in_strides=[16])([x])
