"""The sparse MLP against equations written out with einsum."""

import pytest
import torch
from torch import nn

from mmsmlp.models.layers import AblatedSparseMLP, SparseMLP, resampling_matrix


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


def test_hooks_of_its_parts_fire() -> None:
    smlp = SparseMLP(4, grid=(3, 3))
    seen = []
    for name in ("row", "column", "fuse"):
        part = getattr(smlp, name)
        part.register_forward_pre_hook(lambda *_, name=name: seen.append(name))
        part.register_forward_hook(lambda *_, name=name: seen.append(f"after {name}"))
    smlp(torch.randn(1, 4, 7, 5))
    assert seen == ["row", "after row", "column", "after column", "fuse", "after fuse"]


def test_parameters_as_the_paper_counts_them() -> None:
    height, width, channels = 6, 9, 8
    layer = SparseMLP(channels, (height, width))
    biases = height + width
    assert sum(p.numel() for p in layer.parameters()) - biases == (
        height**2 + width**2 + 3 * channels**2
    )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("identity", [True, False])
@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("fusion", ["concat", "sum", "weighted_sum"])
@pytest.mark.parametrize("size", [(3, 5), (7, 5), (2, 9), (8, 17), (1, 1), (2, 4)])
def test_every_form_equals_the_full_one(
    size: tuple[int, int],
    fusion: str,
    sequential: bool,
    identity: bool,
    memory_format: torch.memory_format,
) -> None:
    torch.manual_seed(0)
    layer = AblatedSparseMLP(4, (3, 5), fusion, identity, sequential).double()
    if identity and not sequential and fusion == "concat":
        layer = SparseMLP(4, (3, 5)).double()
    x = torch.randn(2, 4, *size, dtype=torch.float64).contiguous(memory_format=memory_format)
    given = x.clone()

    def axial(layer, length):
        up = resampling_matrix(layer.length, length, x.dtype)
        down = resampling_matrix(length, layer.length, x.dtype)
        return up @ layer.weight @ down, up @ layer.bias

    weight, bias = axial(layer.row, size[1])
    row = x @ weight.T + bias
    weight, bias = axial(layer.column, size[0])
    column = weight @ (row if sequential else x) + bias[:, None]
    branches = [x] * identity + [row] * (not sequential) + [column]
    if fusion == "concat":
        weight = layer.fuse.weight[:, :, 0, 0]
        assert weight.shape == (4, 4 * len(branches))
        expected = torch.einsum("nchw,dc->ndhw", torch.cat(branches, dim=1), weight)
    elif fusion == "weighted_sum":
        torch.nn.init.normal_(layer.fuse.weight)
        weights = layer.fuse.weight.view(len(branches), 4, 1, 1)
        expected = sum(weight * branch for weight, branch in zip(weights, branches, strict=True))
    else:
        assert not list(layer.fuse.parameters())
        expected = sum(branches)
    torch.testing.assert_close(layer(x), expected)
    assert torch.equal(x, given)


def small_layer() -> SparseMLP:
    torch.manual_seed(0)
    return SparseMLP(4, (4, 4)).eval()


@pytest.mark.usefixtures("compiler")
def test_compiled_with_sizes_left_open() -> None:
    torch._dynamo.reset()
    layer = small_layer()
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    with torch.no_grad():
        for size in [(7, 11), (4, 4), (2, 3), (3, 9), (7, 40)]:
            x = torch.randn(2, 4, *size)
            torch.testing.assert_close(compiled(x), layer(x))


@pytest.mark.usefixtures("compiler")
def test_exported_with_sizes_left_open() -> None:
    """For those beyond the native one, as detectors use them."""
    Dim = torch.export.Dim
    layer = small_layer()
    sizes = {2: Dim("height", min=5, max=64), 3: Dim("width", min=5, max=64)}
    open_sizes = [(7, 11), (5, 13), (7, 40)]
    with torch.no_grad():
        example = torch.randn(2, 4, *open_sizes[0])
        exported = torch.export.export(layer, (example,), dynamic_shapes=(sizes,)).module()
        for size in open_sizes:
            x = torch.randn(2, 4, *size)
            torch.testing.assert_close(exported(x), layer(x))


@pytest.mark.parametrize("native", [56, 512])
@pytest.mark.parametrize("way", ["autocast", "cast"])
def test_half_precision_suffices_for_large_maps(way: str, native: int, half: torch.dtype) -> None:
    """As many tokens as an image of 2048 pixels has at stride 4.

    Ten times as large as those of a trained sMLPNet-T, which come to 11 at most, with axial maps
    whose rows add up to 4.5 at most.
    """
    torch.manual_seed(0)
    layer = SparseMLP(4, (native, native))
    for axial in (layer.row, layer.column):
        nn.init.normal_(axial.weight)
        with torch.no_grad():
            axial.weight *= 45 / axial.weight.abs().sum(dim=1, keepdim=True)
    x = 25 * (torch.randn(1, 4, 512, 512) + torch.randn(4, 1, 1))
    with torch.no_grad():
        exact = layer(x)
        if way == "autocast":
            with torch.autocast("cpu", half):
                rounded = layer(x)
        else:
            rounded = layer.to(half)(x.to(half))
    assert x.abs().max() > 110 and exact.abs().max() > 100
    assert rounded.dtype == half and rounded.isfinite().all()
    error = (rounded.float() - exact).square().mean().sqrt()
    assert error < 2 * torch.finfo(half).eps * exact.square().mean().sqrt()
