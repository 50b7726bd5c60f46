"""The channel MLP against its formula."""

import math

import torch

from mmsmlp.layers import ChannelMLP
from mmsmlp.layers.mlp import TOKENS_AT_A_TIME


def test_values_token_by_token() -> None:
    torch.manual_seed(0)
    mlp = ChannelMLP(4, mlp_ratio=3).double()
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    hidden = x @ mlp.fc1.weight.T + mlp.fc1.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    assert hidden.shape[-1] == 12
    torch.testing.assert_close(mlp(x), hidden @ mlp.fc2.weight.T + mlp.fc2.bias)


def test_many_tokens_are_as_good_as_one_at_a_time() -> None:
    torch.manual_seed(0)
    mlp = ChannelMLP(3, mlp_ratio=2)
    x = torch.randn(2, 70, 71, 3)
    with torch.no_grad():
        y = mlp(x)
    assert y.shape == x.shape and x[..., 0].numel() > 2 * TOKENS_AT_A_TIME
    torch.testing.assert_close(y, mlp(x).detach())
    torch.testing.assert_close(y[1, 69, 70], mlp(x[1, 69, 70]).detach())
