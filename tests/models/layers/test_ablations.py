"""Fusions against einsum."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmsmlp.models.layers import ConcatFusion, Sum, WeightedSum

torch.manual_seed(0)
MAPS = torch.randn(3, 2, 4, 5, 6, dtype=torch.float64)


def test_concat_is_a_linear_map_of_all_channels_in_order() -> None:
    layer = ConcatFusion(4, 3).double()
    weight = layer.weight.view(4, 3, 4)
    torch.testing.assert_close(
        sum(layer(list(MAPS))), torch.einsum("dkc,knchw->ndhw", weight, MAPS)
    )


def test_sums() -> None:
    torch.testing.assert_close(sum(Sum()(list(MAPS))), MAPS.sum(dim=0))


def test_weighted_sum_has_a_weight_per_map_and_channel_and_starts_as_a_sum() -> None:
    layer = WeightedSum(4, 3).double()
    torch.testing.assert_close(sum(layer(list(MAPS))), MAPS.sum(dim=0))
    torch.nn.init.normal_(layer.weight)
    weight = layer.weight.view(3, 4)
    torch.testing.assert_close(sum(layer(list(MAPS))), torch.einsum("kc,knchw->nchw", weight, MAPS))


def test_weighted_sum_does_not_decay() -> None:
    """By the rules of the ImageNet recipes; it starts at one, and decay would pull it to zero."""
    wrapper = build_optim_wrapper(
        nn.Sequential(WeightedSum(4, 3)),
        dict(
            optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
            paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
        ),
    )
    assert [group["weight_decay"] for group in wrapper.param_groups] == [0]


def test_weighted_sum_loads_a_weight_of_four_dimensions() -> None:
    """As it was once saved; other shapes are refused."""
    network = nn.Sequential(WeightedSum(4, 3)).double()
    weight = torch.randn(3, 4, 1, 1, dtype=torch.float64)
    state_dict = {"0.weight": weight}
    network.load_state_dict(state_dict)
    assert state_dict["0.weight"] is weight
    torch.testing.assert_close(sum(network(list(MAPS))), (weight[:, None] * MAPS).sum(dim=0))
    network.load_state_dict(network.state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        network.load_state_dict({"0.weight": weight.view(4, 3, 1, 1)})
