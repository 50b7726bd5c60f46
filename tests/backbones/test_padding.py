"""Padding does not change what a network makes of an image."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mmsmlp.backbones.padding import image_extents, run_without_padding
from mmsmlp.registry import MODELS

FOUR_STAGES = dict(embed_dims=(8, 12, 16, 24), depths=(1, 1, 2, 1), mlp_ratio=2)
NETWORKS = {
    "SMLPNet": dict(type="SMLPNet", arch=FOUR_STAGES, img_size=64),
    "S2MLPv2": dict(type="S2MLPv2", arch=dict(FOUR_STAGES, patch_sizes=(4, 2, 2, 2))),
    "S2MLPv2/7": dict(
        type="S2MLPv2",
        arch=dict(embed_dims=(8, 16), depths=(1, 2), mlp_ratio=2, patch_sizes=(7, 2)),
    ),
    "S2MLP": dict(
        type="S2MLP",
        arch=dict(embed_dims=16, depth=4, patch_size=16, mlp_ratio=2),
        out_indices=(1, 3),
    ),
}
# Blocks that begin as the identity would hide what they do.
NO_ZEROS = dict(type="Kaiming", layer=["Conv2d", "Linear"])
SIZES = [(64, 96), (50, 70), (96, 33), (50, 70), (1, 1)]


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = MODELS.build(dict(NETWORKS[name], drop_path_rate=0.0, init_cfg=NO_ZEROS))
    network.init_weights()
    for module in network.modules():
        # So that zeros do not stay zeros.
        if getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
    return network.eval()


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    return build(request.param)


def images(*sizes: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, *size, generator=generator) for size in sizes]


def pad(images: list[Tensor], divisor: int = 32) -> Tensor:
    """A batch as the data preprocessors make it."""
    height, width = (-(-max(x.shape[axis] for x in images) // divisor) * divisor for axis in (1, 2))
    return torch.stack([F.pad(x, (0, width - x.shape[2], 0, height - x.shape[1])) for x in images])


def test_features_are_those_of_the_image_alone(network) -> None:
    batch = images(*SIZES)
    together = network(pad(batch))
    for i, x in enumerate(batch):
        alone = network(x[None])
        for y, expected in zip(together, alone, strict=True):
            h, w = expected.shape[2:]
            torch.testing.assert_close(y[i, :, :h, :w], expected[0], rtol=0, atol=1e-5)
            # The last row and column go on.
            assert torch.equal(y[i, :, h:], y[i, :, h - 1 : h].expand_as(y[i, :, h:]))
            assert torch.equal(y[i, :, :, w:], y[i, :, :, w - 1 : w].expand_as(y[i, :, :, w:]))


def test_maps_have_the_size_of_the_padded_batch(network) -> None:
    batch = pad(images(*SIZES))
    shapes = [y.shape for y in network(torch.randn_like(batch))]
    assert [y.shape for y in network(batch)] == shapes
    assert [y.shape for y in network(pad(images((50, 70))))] == [
        y.shape for y in network(torch.randn(1, 3, 64, 96))
    ]


def test_the_order_of_images_does_not_matter(network) -> None:
    batch = pad(images(*SIZES))
    order = torch.tensor([3, 0, 4, 2, 1])
    for y, expected in zip(network(batch[order]), network(batch), strict=True):
        torch.testing.assert_close(y, expected[order], rtol=0, atol=1e-5)


def test_training_is_as_without(network) -> None:
    """Norms and gradients see the batch as one tensor, padding included."""
    batch = pad(images(*SIZES)).double().requires_grad_()
    network.train().double()
    outputs, plain = network(batch), network._extract(batch)
    # Random weights: norms make the sum of an output, and of its squares, constant.
    weights = [torch.randn_like(y) for y in outputs]
    gradient, expected = (
        torch.autograd.grad(sum((w * y).sum() for w, y in zip(weights, ys, strict=True)), batch)[0]
        for ys in (outputs, plain)
    )
    torch.testing.assert_close(gradient, expected)
    assert gradient[1, :, 50:].any()


def test_gradients_flow_in_inference(network) -> None:
    (x,) = images((50, 70))
    alone, together = x[None].requires_grad_(), pad([x, *images((64, 96))]).requires_grad_()
    maps = network(alone)
    (expected,) = torch.autograd.grad(sum(y.square().sum() for y in maps), alone)
    on_image = [
        y[0, :, : z.shape[2], : z.shape[3]] for y, z in zip(network(together), maps, strict=True)
    ]
    (gradient,) = torch.autograd.grad(sum(y.square().sum() for y in on_image), together)
    torch.testing.assert_close(gradient[0, :, :50, :70], expected[0], rtol=1e-4, atol=1e-4)
    assert not gradient[0, :, 50:].any() and not gradient[0, :, :, 70:].any()


def test_half_precision(network, half: torch.dtype) -> None:
    batch = images((64, 96), (50, 70))
    with torch.autocast("cpu", half):
        together, alone = network(pad(batch)), network(batch[1][None])
    for y, expected in zip(together, alone, strict=True):
        h, w = expected.shape[2:]
        assert y.dtype == expected.dtype
        torch.testing.assert_close(y[1:, :, :h, :w], expected)


def test_no_image_and_images_of_zeros(network) -> None:
    empty = network(torch.zeros(0, 3, 64, 96))
    black = network(torch.zeros(2, 3, 64, 96))
    for y, z in zip(empty, black, strict=True):
        assert y.shape == (0, *z.shape[1:])
        assert z[0].any()
        torch.testing.assert_close(z[0], z[1])
    for y, expected in zip(black, network._extract(torch.zeros(2, 3, 64, 96)), strict=True):
        torch.testing.assert_close(y, expected)


def test_shapes_can_be_asked_for_without_data(network) -> None:
    shapes = [y.shape for y in network(torch.randn(2, 3, 50, 70))]
    assert [y.shape for y in network.to("meta")(torch.empty(2, 3, 50, 70, device="meta"))] == shapes


@pytest.mark.parametrize(
    "record",
    [
        torch.jit.trace,
        lambda network, x: torch.export.export(network, (x,)).module(),
        lambda network, x: torch.compile(network, backend="eager", fullgraph=True),
    ],
    ids=["trace", "export", "compile"],
)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_a_recorded_graph_takes_batches_of_any_composition(
    record: Callable, request: pytest.FixtureRequest
) -> None:
    """What padding the first batch had must not be baked into it."""
    if record is not torch.jit.trace:
        request.getfixturevalue("compiler")
    network = build("SMLPNet")
    batch = pad(images(*SIZES))
    recorded = record(network, batch)
    for x in (batch, torch.randn_like(batch)):
        for y, expected in zip(recorded(x), network._extract(x), strict=True):
            torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=4),
    st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_extents_against_a_search(sizes: list[tuple[int, int]], seed: int) -> None:
    """Sparse images, whose inner rows and columns may be zero as well."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(len(sizes), 3, 6, 7)
    for image, (h, w) in zip(x, sizes, strict=True):
        image[:, :h, :w] = torch.randint(-1, 2, (3, h, w), generator=generator) * (
            torch.rand(3, h, w, generator=generator) < 0.2
        )
    expected = []
    for image in x:
        filled = image.nonzero().tolist()
        expected.append(
            (max(y for _, y, _ in filled) + 1, max(x for *_, x in filled) + 1) if filled else (6, 7)
        )
    # Empty in one axis only cannot be: a pixel fills a row and a column.
    assert image_extents(x) == expected


def test_only_the_image_is_computed_on() -> None:
    """Equal extents run together, each cropped, and nothing else."""
    seen = []

    def network(x: Tensor) -> tuple[Tensor]:
        seen.append(tuple(x.shape))
        return (x[:, :1, ::4, ::4],)

    run_without_padding(network, pad(images((64, 96), (50, 70), (96, 33), (50, 70))), [4])
    assert sorted(seen) == [(1, 3, 64, 96), (1, 3, 96, 33), (2, 3, 50, 70)]
