"""The channel MLP by its formula."""

import math

import torch

from mmsmlp.models.layers import ChannelMLP


def test_equals_its_formula() -> None:
    torch.manual_seed(0)
    mlp = ChannelMLP(4, mlp_ratio=2.5).double().eval()
    assert mlp.fc1.weight.shape == (10, 4)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    hidden = x @ mlp.fc1.weight.T + mlp.fc1.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    expected = hidden @ mlp.fc2.weight.T + mlp.fc2.bias
    torch.testing.assert_close(mlp(x), expected)
    with torch.no_grad():  # where the GELU writes over its input
        torch.testing.assert_close(mlp(x), expected)


def test_hooks_see_the_complete_map() -> None:
    torch.manual_seed(0)
    mlp = ChannelMLP(4, mlp_ratio=2).eval()
    seen = {}
    for name, layer in mlp.named_children():
        layer.register_forward_hook(
            lambda _, inputs, y, name=name: seen.update({name: (inputs[0].clone(), y)})
        )
    x = torch.randn(2, 56, 56, 4)
    with torch.no_grad():
        y = mlp(x)
    assert [tuple(y.shape) for _, y in seen.values()] == [
        (2, 56, 56, 8),
        (2, 56, 56, 8),
        (2, 56, 56, 4),
    ]
    assert torch.equal(seen["fc1"][1], seen["act"][0])  # the GELU has not written over it
    assert torch.equal(seen["fc2"][1], y)
