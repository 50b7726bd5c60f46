"""Plain fusions against einsum, and layer norm of maps."""

import torch

from mmsmlp.layers import ConcatFusion, LayerNorm2d, Mean, Sum, WeightedSum

torch.manual_seed(0)
MAPS = torch.randn(3, 2, 4, 5, 6, dtype=torch.float64)


def test_concat_is_a_linear_map_of_all_channels_in_order() -> None:
    layer = ConcatFusion(4, 3).double()
    weight = layer.weight.view(4, 3, 4)
    torch.testing.assert_close(layer(list(MAPS)), torch.einsum("dkc,knchw->ndhw", weight, MAPS))


def test_sums() -> None:
    torch.testing.assert_close(Sum()(list(MAPS)), MAPS.sum(dim=0))
    torch.testing.assert_close(Mean()(list(MAPS)), MAPS.mean(dim=0))


def test_weighted_sum_has_a_weight_per_map_and_channel_and_starts_as_a_sum() -> None:
    layer = WeightedSum(4, 3).double()
    torch.testing.assert_close(layer(list(MAPS)), MAPS.sum(dim=0))
    torch.nn.init.normal_(layer.weight)
    weight = layer.weight.view(3, 4)
    torch.testing.assert_close(layer(list(MAPS)), torch.einsum("kc,knchw->nchw", weight, MAPS))


def test_layer_norm_of_a_map_is_that_of_each_token() -> None:
    norm = LayerNorm2d(4).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = MAPS[0]
    mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, unbiased=False)
    expected = (x - mean) / (variance + 1e-5).sqrt()
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)
