"""The channel MLP against its formula."""

import math

import torch

from mmsmlp.layers import ChannelMLP


def test_values_token_by_token() -> None:
    torch.manual_seed(0)
    mlp = ChannelMLP(4, mlp_ratio=3).double()
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    hidden = x @ mlp.fc1.weight.T + mlp.fc1.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    assert hidden.shape[-1] == 12
    torch.testing.assert_close(mlp(x), hidden @ mlp.fc2.weight.T + mlp.fc2.bias)
