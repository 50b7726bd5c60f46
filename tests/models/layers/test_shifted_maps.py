"""Weighted sums of shifted maps and their means, against the shifts themselves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmsmlp.models.layers import (
    IDENTITY_SHIFT,
    SS1,
    SS2,
    shift_counts,
    shifted_mean,
    shifted_sum,
    spatial_shift,
)

DIAGONALS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
SHIFTS = {
    "paper": (SS1, SS2, IDENTITY_SHIFT),
    "diagonals": (DIAGONALS, (*SS1, *DIAGONALS)),
    "one": (((0, 1),),),
    "none": (IDENTITY_SHIFT, IDENTITY_SHIFT),
}
SHAPES = [(2, 16, 6, 9), (1, 8, 1, 7), (1, 8, 7, 1), (2, 19, 5, 4), (1, 3, 2, 2), (1, 8, 1, 1)]


def split(maps: Tensor, shifts) -> list[Tensor]:
    """(N, H, W, K·C) -> K shifted maps (N, C, H, W)."""
    parts = maps.permute(0, 3, 1, 2).chunk(len(shifts), dim=1)
    return [spatial_shift(x, shift) for x, shift in zip(parts, shifts, strict=True)]


def by_shifting(maps: Tensor, weights: Tensor, shifts) -> Tensor:
    return torch.einsum("nkc,knchw->nhwc", weights, torch.stack(split(maps, shifts)))


def example(shape: tuple[int, ...], num_maps: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    images, channels, height, width = shape
    maps = torch.randn(images, height, width, num_maps * channels, dtype=torch.float64)
    return maps, torch.randn(images, num_maps, channels, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("shifts", SHIFTS.values(), ids=SHIFTS)
@pytest.mark.parametrize("is_contiguous", [True, False])
def test_values_and_gradients_equal_those_of_shifting(
    is_contiguous: bool, shifts, shape: tuple[int, ...]
) -> None:
    maps, weights = example(shape, len(shifts))
    if not is_contiguous:
        maps = maps.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    given = maps.clone()
    factors = torch.randn(shape, dtype=torch.float64).permute(0, 2, 3, 1)
    results = []
    for function in (shifted_sum, by_shifting):
        inputs = maps.clone().requires_grad_(), weights.clone().requires_grad_()
        y = function(*inputs, shifts)
        results.append([y, *torch.autograd.grad((y * factors).sum(), inputs)])
    torch.testing.assert_close(*results)
    assert results[0][0].is_contiguous() or not is_contiguous
    assert torch.equal(maps, given)


def test_gradients_of_gradients() -> None:
    maps, weights = example((1, 4, 2, 3), 3)
    inputs = maps.requires_grad_(), weights.requires_grad_()
    function = lambda *inputs: shifted_sum(*inputs, SHIFTS["paper"])  # noqa: E731
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_only_the_maps_are_kept_for_the_backward_pass() -> None:
    maps, weights = example((2, 16, 30, 40), 3)
    maps.requires_grad_()
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        shifted_sum(maps, weights, SHIFTS["paper"])
    assert sum(kept.values()) == maps.nbytes + weights.nbytes


def test_weights_take_the_type_of_the_maps() -> None:
    maps, weights = example((1, 4, 5, 3), 3)
    y = shifted_sum(maps.bfloat16(), weights, SHIFTS["paper"])
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(
        y.double(), by_shifting(maps, weights, SHIFTS["paper"]), atol=0.05, rtol=0.05
    )


def test_per_sample_gradients_by_torch_func() -> None:
    maps, weights = example((3, 8, 4, 5), 3)

    def loss(maps: Tensor, weights: Tensor) -> Tensor:
        return shifted_sum(maps[None], weights[None], SHIFTS["paper"]).square().sum()

    gradients = torch.func.vmap(torch.func.grad(loss))(maps, weights)
    maps.requires_grad_()
    y = by_shifting(maps, weights, SHIFTS["paper"])
    torch.testing.assert_close(gradients, torch.autograd.grad(y.square().sum(), maps)[0])


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    direction=st.tuples(st.sampled_from((-1, 0, 1)), st.sampled_from((-1, 0, 1))),
)
def test_counts_are_those_of_numbered_tokens(height: int, width: int, direction) -> None:
    numbers = torch.arange(height * width).view(1, 1, height, width)
    shifted = spatial_shift(numbers, [direction]).flatten()
    counts = shift_counts([direction], height, width)
    assert torch.equal(counts[0], shifted.bincount(minlength=height * width))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("shifts", SHIFTS.values(), ids=SHIFTS)
def test_means_are_those_of_the_shifted_maps(shifts, shape: tuple[int, ...]) -> None:
    maps, _ = example(shape, len(shifts))
    factors = torch.randn(shape[:2], dtype=torch.float64)
    results = []
    for function in (shifted_mean, lambda maps, shifts: sum(split(maps, shifts)).mean(dim=(2, 3))):
        maps = maps.detach().requires_grad_()
        y = function(maps, shifts)
        results.append([y, torch.autograd.grad((y * factors).sum(), maps)[0]])
    torch.testing.assert_close(*results)


def test_sums_over_many_tokens_fit_half_precision(half: torch.dtype) -> None:
    """A sum of 90,000 tokens of one is beyond what float16 holds."""
    x = torch.ones(1, 300, 300, 4, dtype=half)
    with torch.autocast("cpu", half):
        y = shifted_mean(x, (SS1,))
    torch.testing.assert_close(y, torch.ones(1, 4), rtol=torch.finfo(half).eps, atol=0)
