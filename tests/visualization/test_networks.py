"""What pictures of networks show, against other ways to compute it."""

import numpy as np
import pytest
import torch
from torch import nn

from mmsmlp.errors import PictureError
from mmsmlp.models.backbones import S2MLPv2, SMLPNet
from mmsmlp.models.layers import AxialMixing
from mmsmlp.visualization import (
    applied_matrix,
    axial_maps,
    draw_axial_maps,
    draw_features,
    draw_receptive_fields,
    extent,
    principal_components,
    receptive_fields,
    save,
)

TINY = dict(embed_dims=(8, 12), depths=(2, 1), mlp_ratio=2)


def test_the_receptive_field_of_a_convolution_is_its_kernel() -> None:
    conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)
    (field,) = receptive_fields(lambda x: (conv(x),), [torch.randn(1, 2, 9, 11)] * 2)
    expected = np.zeros((9, 11))
    # Token (4, 5) is the centre; one channel's sign does not change the absolute value.
    expected[3:6, 4:7] = conv.weight[0].abs().sum(0).detach().numpy()
    np.testing.assert_allclose(field, expected, rtol=1e-6)


def test_the_point_is_given_as_parts_of_height_and_width() -> None:
    image = torch.randn(1, 1, 6, 10)
    pool = nn.AvgPool2d(2)
    for at, row, column in (((0.0, 0.99), 0, 4), ((0.66, 0.5), 1, 2), ((0.67, 0.19), 2, 0)):
        (field,) = receptive_fields(lambda x: (pool(x),), [image], at=at)
        expected = np.zeros((6, 10))
        expected[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 0.25
        np.testing.assert_allclose(field, expected)


def test_fields_are_means_over_images() -> None:
    images = [torch.full((1, 1, 5, 5), 1.0), torch.full((1, 1, 5, 5), 3.0)]
    (field,) = receptive_fields(lambda x: (x.square(),), images)
    assert field[2, 2] == pytest.approx((2 + 6) / 2)
    assert field.sum() == field[2, 2]


def test_extent_is_the_smallest_part_with_half_of_the_field() -> None:
    field = np.array([[5.0, 2.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    assert extent(field) == 1 / 8
    assert extent(field, 0.7) == 2 / 8
    assert extent(np.ones((10, 10))) == 0.5


@pytest.mark.parametrize("dim", [-1, -2])
@pytest.mark.parametrize("length", [5, 8, 13])
def test_the_applied_matrix_matches_the_layer(dim: int, length: int) -> None:
    axial = AxialMixing(8, dim=dim).double()
    matrix = torch.from_numpy(applied_matrix(axial, length))
    x = torch.randn(2, 3, 4, length, dtype=torch.double)
    x = x if dim == -1 else x.transpose(2, 3)
    with torch.no_grad():
        less_bias = axial(x) - axial(torch.zeros_like(x))
    product = x @ matrix.T if dim == -1 else matrix @ x
    torch.testing.assert_close(less_bias, product)


def test_axial_maps_are_those_of_each_block_at_the_size_of_its_stage() -> None:
    backbone = SMLPNet(TINY, img_size=(32, 64), out_indices=(0, 1)).eval()
    maps = axial_maps(backbone, (48, 80))
    found = [(m.stage, m.block, m.axis, len(m.native), len(m.applied)) for m in maps]
    assert found == [
        *[(0, block, axis, *lengths) for block in (0, 1) for axis, *lengths in FIRST],
        (1, 0, "rows", 8, 10),
        (1, 0, "columns", 4, 6),
    ]
    row = backbone.stages[1].blocks[0].smlp.row
    np.testing.assert_array_equal(maps[-2].native, row.weight.detach().double())
    np.testing.assert_array_equal(maps[-2].applied, applied_matrix(row, 10))


FIRST = [("rows", 16, 20), ("columns", 8, 12)]


def test_a_network_without_axial_maps_is_refused() -> None:
    with pytest.raises(PictureError, match="S2MLPv2 has no axial maps; sMLPNet has"):
        axial_maps(S2MLPv2("small/4"), (32, 32))


def test_principal_components_are_those_of_the_covariance() -> None:
    features = torch.randn(6, 5, 7, dtype=torch.double) * torch.arange(1, 7)[:, None, None]
    components = principal_components(features)
    values, vectors = np.linalg.eigh(np.cov(features.flatten(1).numpy()))
    np.testing.assert_allclose(components.shares, values[::-1][:3] / values.sum(), rtol=1e-9)
    tokens = features.flatten(1).T.numpy()
    scores = (tokens - tokens.mean(0)) @ vectors[:, ::-1][:, :3]
    np.testing.assert_allclose(np.abs(components.values.reshape(35, 3)), np.abs(scores), atol=1e-9)
    peaks = np.abs(components.values).reshape(35, 3).argmax(0)
    assert (components.values.reshape(35, 3)[peaks, range(3)] > 0).all()


def test_components_that_are_not_there_are_zero() -> None:
    components = principal_components(torch.randn(2, 1, 2))
    assert components.values.shape == (1, 2, 3)
    assert components.shares == pytest.approx([1, 0, 0])
    assert not components.values[..., 1:].round(5).any()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_pictures_are_written(tmp_path, suffix: str) -> None:
    backbone = SMLPNet(TINY, img_size=32, out_indices=(0, 1)).eval()
    image = torch.randn(1, 3, 40, 60)
    with torch.no_grad():
        maps = [y[0] for y in backbone(image)]
    figures = dict(
        fields=draw_receptive_fields({"sMLPNet": receptive_fields(backbone, [image])}),
        axial=draw_axial_maps(axial_maps(backbone, (40, 60)), (40, 60)),
        features=draw_features(np.zeros((40, 60, 3), np.uint8), maps),
    )
    for name, figure in figures.items():
        path = tmp_path / "new" / f"{name}{suffix}"
        save(figure, path)
        assert path.stat().st_size > 5000
