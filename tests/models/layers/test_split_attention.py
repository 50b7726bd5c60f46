"""Split attention against its formula, and on the scale of its native size elsewhere."""

import math

import pytest
import torch
from torch import Tensor

from mmsmlp.models.layers import Mean, SplitAttention


def paper(layer: SplitAttention, tokens: float) -> tuple[Tensor, Tensor]:
    """The paper's weights, made for the sum of tokens."""
    weight1 = layer.weight1 / (tokens * math.sqrt(len(layer.weight1)))
    return weight1, layer.weight2 / math.sqrt(len(layer.weight2))


def weigh(layer: SplitAttention, maps: list[Tensor], tokens: float) -> Tensor:
    """The paper's steps one by one, with ``tokens`` times the mean for the sum of tokens."""
    weight1, weight2 = paper(layer, tokens)
    num_maps, channels = len(maps), maps[0].shape[1]
    a = torch.stack(maps).sum(dim=(0, 3, 4)) * tokens / maps[0][0, 0].numel()
    hidden = a @ weight1
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    scores = (hidden @ weight2).reshape(-1, num_maps, channels).exp()
    weights = scores / scores.sum(dim=1, keepdim=True)
    return torch.einsum("nkc,knchw->nchw", weights, torch.stack(maps))


def mean(maps: list[Tensor]) -> Tensor:
    return sum(x.mean(dim=(2, 3)) for x in maps)


@pytest.mark.parametrize("num_maps", [2, 3])
@pytest.mark.parametrize("size", [(3, 4), (6, 8), (1, 1), (5, 2)])
def test_equals_its_formula(size: tuple[int, int], num_maps: int) -> None:
    torch.manual_seed(0)
    layer = SplitAttention(8, num_maps, num_tokens=12).double()
    maps = [torch.randn(2, 8, *size, dtype=torch.float64) for _ in range(num_maps)]
    weights = layer(mean(maps))
    assert weights.shape == (2, num_maps, 8)
    torch.testing.assert_close(
        torch.einsum("nkc,knchw->nchw", weights, torch.stack(maps)),
        weigh(layer, maps, tokens=12),
    )
    if size == (3, 4):
        a = sum(x.sum(dim=(2, 3)) for x in maps)
        weight1, weight2 = paper(layer, tokens=12)
        torch.testing.assert_close(
            layer.logits(mean(maps)).flatten(1),
            torch.nn.functional.gelu(a @ weight1) @ weight2,
        )


def test_an_enlarged_map_keeps_the_softmax_input() -> None:
    """Every token four times over: a plain sum would be four times as large."""
    torch.manual_seed(0)
    layer = SplitAttention(8, 3, num_tokens=5 * 7)
    maps = [torch.randn(2, 8, 5, 7) for _ in range(3)]
    enlarged = [x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) for x in maps]
    torch.testing.assert_close(layer.logits(mean(enlarged)), layer.logits(mean(maps)))


def test_hidden_width_is_a_quarter() -> None:
    layer = SplitAttention(64, 3, num_tokens=1)
    assert sum(p.numel() for p in layer.parameters()) == 64 * 16 + 16 * 3 * 64


def test_weights_begin_as_the_papers_would() -> None:
    """Those are truncated normals of 0.02, which ours are times the roots of the inputs."""
    torch.manual_seed(0)
    layer = SplitAttention(256, 3, num_tokens=4)
    for weight, root in ((layer.weight1, 16), (layer.weight2, 8)):
        assert weight.std().item() == pytest.approx(0.02 * root, rel=0.02)


def test_equal_weights_make_the_mean() -> None:
    torch.manual_seed(0)
    maps = torch.randn(3, 2, 8, 5, 7)
    weights = Mean(3)(mean(list(maps)))
    y = torch.einsum("nkc,knchw->nchw", weights, maps)
    torch.testing.assert_close(y, maps.mean(dim=0))


def test_the_papers_form_loads_once_and_ours_as_it_is() -> None:
    torch.manual_seed(0)
    layer, copy = (SplitAttention(8, 3, num_tokens=12) for _ in range(2))
    weight1, weight2 = torch.randn(2, 8), torch.randn(24, 2)
    state_dict = dict(weight1=weight1, weight2=weight2)
    layer.load_state_dict(state_dict)
    assert state_dict["weight1"] is weight1, "what was given is left alone"
    torch.testing.assert_close(paper(layer, tokens=12), (weight1.T, weight2.T))
    copy.load_state_dict(dict(layer.state_dict()))
    assert torch.equal(copy.weight1, layer.weight1) and torch.equal(copy.weight2, layer.weight2)


@pytest.mark.parametrize("channels", [3, 0])
def test_channels_must_have_a_quarter(channels: int) -> None:
    with pytest.raises(ValueError, match=f"channels must be at least 4, got {channels}"):
        SplitAttention(channels, 3, num_tokens=1)
