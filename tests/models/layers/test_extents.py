"""Extents of images on padded maps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsmlp.models.layers import Extents, resampling_matrix
from mmsmlp.models.layers.resampling import resampling_matrices

SIDES = st.integers(1, 40)


@pytest.fixture
def extents() -> Extents:
    return Extents(torch.tensor([5, 3, 6]), torch.tensor([7, 2, 8]), (6, 8))


def test_padding_is_what_is_beyond_the_images(extents: Extents) -> None:
    x = torch.randn(3, 2, 6, 8)
    expected = torch.zeros_like(x)
    for image, source, h, w in zip(expected, x, [5, 3, 6], [7, 2, 8], strict=True):
        image[:, :h, :w] = source[:, :h, :w]
    assert torch.equal(extents.without_padding(x), expected)
    assert torch.equal(extents.inside(x.dtype) * x, expected)
    assert extents.num_tokens.tolist() == [35, 6, 48]


def test_merging_completes_the_last_patch(extents: Extents) -> None:
    merged = extents.merged(4)
    assert merged.heights.tolist() == [2, 1, 2] and merged.widths.tolist() == [2, 1, 2]
    assert merged.size == (2, 2)
    assert extents.merged(1) is extents


def test_images_go_on_with_their_border(extents: Extents) -> None:
    x = torch.randn(3, 6, 8, 2, dtype=torch.double, requires_grad=True)
    y = extents.extended(x)
    for image, source, h, w in zip(y, x, [5, 3, 6], [7, 2, 8], strict=True):
        rows, columns = torch.arange(6).clamp(max=h - 1), torch.arange(8).clamp(max=w - 1)
        assert torch.equal(image, source[rows[:, None], columns])
    torch.autograd.gradcheck(extents.extended, x)


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=3))
def test_matrices_of_a_batch_are_those_of_each_length(lengths: list[tuple[int, int]]) -> None:
    sources, targets = torch.tensor(lengths).unbind(dim=1)
    size = int(targets.max()) + 2, int(sources.max()) + 1
    matrices = resampling_matrices(sources, targets, size, torch.double)
    assert matrices.shape == (len(lengths), *size)
    for matrix, (source, target) in zip(matrices, lengths, strict=True):
        expected = resampling_matrix(source, target, torch.double)
        # Rows are divided by sums that may be made in another order.
        torch.testing.assert_close(matrix[:target, :source], expected, rtol=1e-12, atol=0)
        assert not matrix[:, source:].any()
        assert torch.equal(matrix[target:], matrix[target - 1 : target].expand_as(matrix[target:]))
