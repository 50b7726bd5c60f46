"""Patch embedding against a linear map of patches cut out by hand."""

import pytest
import torch

from mmsmlp.models.layers import PatchEmbed


@pytest.mark.parametrize("size", [(8, 8), (9, 5), (1, 1), (4, 11)])
def test_each_token_is_a_linear_map_of_its_zero_padded_patch(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    patch = 4
    embed = PatchEmbed(3, 6, patch)
    height, width = size
    x = torch.randn(2, 3, height, width)
    y = embed(x)
    assert y.shape == (2, 6, -(-height // patch), -(-width // patch))
    padded = torch.zeros(2, 3, y.shape[2] * patch, y.shape[3] * patch)
    padded[:, :, :height, :width] = x
    weight = embed.weight.flatten(1)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            token = padded[:, :, i * patch : (i + 1) * patch, j * patch : (j + 1) * patch]
            torch.testing.assert_close(y[:, :, i, j], token.flatten(1) @ weight.T)
