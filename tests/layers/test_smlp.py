"""The sparse MLP against equations written out with einsum."""

import pytest
import torch

from mmsmlp.layers import SparseMLP


def test_fuses_identity_row_and_column_in_this_order() -> None:
    torch.manual_seed(0)
    layer = SparseMLP(4, grid=(3, 5)).double()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    row = torch.einsum("nchw,vw->nchv", x, layer.row.weight) + layer.row.bias
    column = torch.einsum("nchw,uh->ncuw", x, layer.column.weight) + layer.column.bias[:, None]
    identity_weight, row_weight, column_weight = layer.fuse.weight[:, :, 0, 0].split(4, dim=1)
    expected = (
        torch.einsum("nchw,dc->ndhw", x, identity_weight)
        + torch.einsum("nchw,dc->ndhw", row, row_weight)
        + torch.einsum("nchw,dc->ndhw", column, column_weight)
    )
    torch.testing.assert_close(layer(x), expected)


def test_parameters_as_the_paper_counts_them() -> None:
    height, width, channels = 6, 9, 8
    layer = SparseMLP(channels, (height, width))
    biases = height + width
    assert sum(p.numel() for p in layer.parameters()) - biases == (
        height**2 + width**2 + 3 * channels**2
    )


@pytest.mark.parametrize("identity", [True, False])
@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("fusion", ["concat", "sum", "weighted_sum"])
def test_ablations_of_branches_and_fusion(fusion: str, sequential: bool, identity: bool) -> None:
    torch.manual_seed(0)
    layer = SparseMLP(4, (3, 5), fusion, identity, sequential).double()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    row = x @ layer.row.weight.T + layer.row.bias
    column = layer.column.weight @ (row if sequential else x) + layer.column.bias[:, None]
    branches = [x] * identity + [row] * (not sequential) + [column]
    if fusion == "concat":
        weight = layer.fuse.weight[:, :, 0, 0]
        assert weight.shape == (4, 4 * len(branches))
        expected = torch.einsum("nchw,dc->ndhw", torch.cat(branches, dim=1), weight)
    elif fusion == "weighted_sum":
        torch.nn.init.normal_(layer.fuse.weight)
        assert layer.fuse.weight.shape == (len(branches), 4, 1, 1)
        expected = sum(
            weight * branch for weight, branch in zip(layer.fuse.weight, branches, strict=True)
        )
    else:
        assert not list(layer.fuse.parameters())
        expected = sum(branches)
    torch.testing.assert_close(layer(x), expected)
