"""S²-MLP against its formula."""

import pytest
import torch
import torch.nn.functional as F

from mmsmlp.models.backbones import S2MLP

MINI = dict(embed_dims=8, depth=3, patch_size=4, mlp_ratio=2)


def shifted(x: torch.Tensor) -> torch.Tensor:
    """Eight channels: two each to the right, the left, down and up, by index arithmetic."""
    height, width = x.shape[2:]
    rows, columns = torch.arange(height), torch.arange(width)
    right, left = (columns - 1).clamp(min=0), (columns + 1).clamp(max=width - 1)
    down, up = (rows - 1).clamp(min=0), (rows + 1).clamp(max=height - 1)
    return torch.cat(
        [x[:, 0:2][..., right], x[:, 2:4][..., left], x[:, 4:6, down], x[:, 6:8, up]], dim=1
    )


def test_network_equals_its_formula() -> None:
    torch.manual_seed(0)
    network = S2MLP(MINI, out_indices=(0, 2)).eval()
    for name, parameter in network.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter)
    image = torch.randn(2, 3, 20, 13)
    embed, norm = network.stages[0].patch_embed
    x = F.pad(image, (0, 3)).unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3)
    x = F.layer_norm(x @ embed.weight.flatten(1).T + embed.bias, (8,), norm.weight, norm.bias)
    outputs = []
    for stage in network.stages:
        block = stage.blocks[0]
        y = F.gelu(F.linear(x, block.shift_mlp.fc1.weight, block.shift_mlp.fc1.bias))
        y = shifted(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = F.linear(y, block.shift_mlp.fc2.weight, block.shift_mlp.fc2.bias)
        x = x + F.layer_norm(y, (8,), block.norm1.weight, block.norm1.bias)
        y = F.gelu(F.linear(x, block.mlp.fc1.weight, block.mlp.fc1.bias))
        y = F.linear(y, block.mlp.fc2.weight, block.mlp.fc2.bias)
        x = x + F.layer_norm(y, (8,), block.norm2.weight, block.norm2.bias)
        outputs.append(x)
    for y, norm, x in zip(
        network(image), (network.norm0, network.norm2), outputs[::2], strict=True
    ):
        expected = F.layer_norm(x, (8,), norm.weight, norm.bias).permute(0, 3, 1, 2)
        torch.testing.assert_close(y, expected)


def test_no_directions_mean_no_shift() -> None:
    """Then no token sees another."""
    network = S2MLP(MINI, directions=()).eval()
    x = torch.randn(1, 3, 16, 16)
    y = x.clone()
    y[..., :4, :4] += 1
    (a,), (b,) = network(x), network(y)
    changed = (a != b).any(dim=1)[0]
    assert changed[0, 0] and changed.sum() == 1


def test_every_output_has_the_stride_of_the_patches() -> None:
    network = S2MLP(MINI, out_indices=(1, -1))
    assert network.strides == [4, 4] and network.channels == [8, 8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(arch="large"), r"arch must be one of \['deep', 'wide'\] or a dict, got 'large'"),
        (dict(out_indices=3), "out_indices must be one or more of 0 to 2"),
        (
            dict(directions=(1, 0)),
            r"directions must be \(down, right\) of -1, 0 or 1, got \(1, 0\)",
        ),
        (dict(arch=dict(MINI, depth=0)), "depth must be at least 1, got 0"),
        (dict(arch=dict(embed_dims=8)), r"arch lacks \['depth', 'mlp_ratio', 'patch_size'\]"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S2MLP(**{"arch": MINI, **arguments})


def test_the_common_part_of_all_tokens_of_an_output_is_subtracted() -> None:
    torch.manual_seed(0)
    network = S2MLP(MINI, out_indices=(0, 2)).train()
    for y in network(torch.randn(2, 3, 20, 13) + 3):
        torch.testing.assert_close(y.mean(dim=(0, 2, 3)), torch.zeros(8), rtol=0, atol=1e-5)
