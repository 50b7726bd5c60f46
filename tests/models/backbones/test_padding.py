"""Padding does not change what a network makes of an image."""

import functools
import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules.batchnorm import _BatchNorm

from mmsmlp.models.backbones.padding import image_sizes, is_sharded, run_cropped
from mmsmlp.models.layers import CentredLayerNorm2d
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
BATCHES = {
    "larger mates": [(50, 70), (64, 96), (96, 96)],
    "across the native size": [(32, 32), (64, 64), (16, 17), (63, 65)],
    "one token and all of it": [(1, 1), (64, 96), (96, 33)],
    "one image": [(50, 70)],
}
SIDES = st.integers(1, 100)
# Of sMLPNet alone: what else its tokens can be mixed by.
MIXINGS = {
    "sequential": dict(smlp_cfg=dict(sequential=True, fusion="weighted_sum")),
    "local and global stages": dict(local_stages=(0, 1), global_stages=(1, 2, 3)),
}
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


def uncropped(network: nn.Module, x: Tensor) -> list[Tensor]:
    """The network on the whole batch, padding included."""
    maps = zip(network.out_indices, network._run_stages(x), strict=True)
    return [getattr(network, f"norm{i}")(y) for i, y in maps]


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


def test_included_padding_is_a_part_of_the_image_in_training(network) -> None:
    """Norms and gradients see the batch as one tensor, padding included."""
    network.training_padding = "include"
    batch = pad(images(*SIZES)).double().requires_grad_()
    network.train().double()
    outputs, plain = network(batch), uncropped(network, batch)
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
    for y, expected in zip(black, uncropped(network, torch.zeros(2, 3, 64, 96)), strict=True):
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
        for y, expected in zip(recorded(x), uncropped(network, x), strict=True):
            torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("with_cp", [False, True])
def test_images_of_several_batches_at_once(network, with_cp: bool) -> None:
    network.with_cp = with_cp
    batch = pad(images(*SIZES))
    both = torch.vmap(network)(torch.stack([batch, batch.flip(3)]))
    for i, x in enumerate((batch, batch.flip(3))):
        for y, expected in zip(both, uncropped(network, x), strict=True):
            torch.testing.assert_close(y[i], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "tracing_mode", ["real", "fake", pytest.param("symbolic", marks=pytest.mark.long)]
)
def test_a_graph_of_make_fx_takes_batches_of_any_composition(network, tracing_mode: str) -> None:
    def function(weights: dict[str, Tensor], x: Tensor) -> tuple[Tensor, ...]:
        return torch.func.functional_call(network, weights, (x,))

    if tracing_mode == "symbolic":  # two stages take long enough
        network.stages = network.stages[:2]
        network.out_indices = [i for i in network.out_indices if i < 2]
    weights = dict(network.state_dict())  # torch 2.1 takes no OrderedDict
    batch = pad(images(*SIZES, (100, 70)))
    graph = make_fx(function, tracing_mode=tracing_mode)(weights, batch)
    others = [batch, batch.flip(2)]
    if tracing_mode == "symbolic":
        others += [torch.randn(2, 3, 140, 99)]
    for x in others:
        for y, expected in zip(graph(weights, x), uncropped(network, x), strict=True):
            torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


def test_tensors_without_values_have_shapes_and_leave_nothing(network) -> None:
    x = torch.randn(2, 3, 75, 83)  # a size that nobody else asks for
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        shapes = [y.shape for y in network(mode.from_tensor(x))]
    assert [y.shape for y in network(x)] == shapes


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=4),
    st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_sizes_against_a_search(sizes: list[tuple[int, int]], seed: int) -> None:
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
    assert image_sizes(x) == expected


def test_only_the_image_is_computed_on() -> None:
    """Equal extents run together, each cropped, and nothing else."""
    seen = []

    def network(x: Tensor) -> tuple[Tensor]:
        seen.append(tuple(x.shape))
        return (x[:, :1, ::4, ::4],)

    run_cropped(network, pad(images((64, 96), (50, 70), (96, 33), (50, 70))), [4])
    assert sorted(seen) == [(1, 3, 64, 96), (1, 3, 96, 33), (2, 3, 50, 70)]


def training(network: nn.Module, padding: str = "crop") -> nn.Module:
    """In training mode, with norms in evaluation mode."""
    network.training_padding = padding
    for module in network.train().modules():
        if isinstance(module, _BatchNorm | CentredLayerNorm2d):
            module.eval()
    return network


@functools.cache
def built(name: str) -> nn.Module:
    return training(build(name))


def assert_as_alone(network: nn.Module, batch: list[Tensor], gradients: bool = True) -> None:
    """Features on the area of each image, and gradients of the weights for a loss there."""
    together = network(pad(batch))
    generator = torch.Generator().manual_seed(2)
    for i, x in enumerate(batch):
        alone = network(x[None])
        on_image = [
            y[i : i + 1, :, : z.shape[2], : z.shape[3]]
            for y, z in zip(together, alone, strict=True)
        ]
        for y, expected in zip(on_image, alone, strict=True):
            torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
        if not gradients:
            continue
        # Weighted: norms make the sum of an output, and of its squares, constant.
        weights = [torch.randn(y.shape, generator=generator) for y in alone]
        of_alone, of_image = (
            torch.autograd.grad(
                sum((w * y).sum() for w, y in zip(weights, maps, strict=True)),
                network.parameters(),
                retain_graph=True,
                allow_unused=True,
            )
            for maps in (alone, on_image)
        )
        for gradient, expected in zip(of_image, of_alone, strict=True):
            assert (gradient is None) == (expected is None)
            if expected is not None:
                error = (gradient - expected).norm()
                assert error <= 1e-4 * expected.norm() + 1e-5


@pytest.mark.parametrize("sizes", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("name", NETWORKS)
def test_features_and_gradients_are_those_of_the_image_alone(name: str, sizes: list) -> None:
    assert_as_alone(built(name), images(*sizes))


@pytest.mark.parametrize("name", NETWORKS)
@given(sizes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=3))
@settings(max_examples=10, deadline=None)
def test_any_size_beside_any_other(name: str, sizes: list[tuple[int, int]]) -> None:
    assert_as_alone(built(name), images(*sizes))


@pytest.mark.parametrize("settings", MIXINGS.values(), ids=MIXINGS)
@pytest.mark.parametrize("sizes", BATCHES.values(), ids=BATCHES)
def test_other_ways_of_mixing(settings: dict, sizes: list) -> None:
    torch.manual_seed(0)
    network = training(MODELS.build(dict(NETWORKS["SMLPNet"], **settings)))
    assert_as_alone(network, images(*sizes))


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_go_on_with_the_border_of_the_image(name: str) -> None:
    network, batch = built(name), images((50, 70), (96, 33), (1, 1), (64, 96))
    maps = network(pad(batch))
    for y, stride in zip(maps, network.strides, strict=True):
        for image, x in zip(y, batch, strict=True):
            h, w = (-(-side // stride) for side in x.shape[1:])
            assert torch.equal(image[:, h:], image[:, h - 1 : h].expand_as(image[:, h:]))
            assert torch.equal(image[:, :, w:], image[:, :, w - 1 : w].expand_as(image[:, :, w:]))


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_replicated_padding_reach_the_border(name: str) -> None:
    """A loss on padding is one on the image's last tokens."""
    network = built(name)
    (x,) = images((50, 70))
    together, alone = network(pad([x, *images((96, 96))])), network(x[None])
    of_padding = of_border = 0
    for y, z in zip(together, alone, strict=True):
        h, w = z.shape[2:]
        rows, columns = (
            torch.arange(side).clamp(max=last - 1)
            for side, last in zip(y.shape[2:], (h, w), strict=True)
        )
        extended = z[:, :, rows[:, None], columns]
        weight = torch.randn_like(extended)
        of_padding += (weight * y[:1]).sum()
        of_border += (weight * extended).sum()
    gradients, expected = (
        torch.autograd.grad(loss, network.parameters(), allow_unused=True)
        for loss in (of_padding, of_border)
    )
    for gradient, other in zip(gradients, expected, strict=True):
        if gradient is not None:
            assert (gradient - other).norm() <= 1e-4 * other.norm() + 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_in_training(name: str, half: torch.dtype) -> None:
    network, batch = built(name), images((64, 96), (50, 70))
    with torch.autocast("cpu", half):
        together, alone = network(pad(batch)), network(batch[1][None])
    for y, expected in zip(together, alone, strict=True):
        h, w = expected.shape[2:]
        error = (y[1:, :, :h, :w].float() - expected.float()).norm()
        assert error <= 0.02 * expected.float().norm()
        assert y.dtype == expected.dtype


@pytest.mark.parametrize("with_cp", [False, True])
@pytest.mark.parametrize("name", ["S2MLP", "S2MLPv2"])
def test_norms_of_outputs_learn_from_the_maps_that_heads_see(name: str, with_cp: bool) -> None:
    """An image in a larger frame: the statistics are those of its maps and their borders."""
    (x,) = images((50, 70))
    frame = pad([x, *images((96, 96))])[:1]
    network = build(name).double().train()
    network.training_padding, network.with_cp = "crop", with_cp
    before = {k: v.clone() for k, v in network.state_dict().items()}
    maps = network(frame.double())
    after = {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(before)
    for y, i, stride in zip(maps, network.out_indices, network.strides, strict=True):
        torch.testing.assert_close(y.mean(dim=(0, 2, 3)), torch.zeros_like(y[0, :, 0, 0]))
        assert y.shape[2:] == (96 // stride + (96 % stride > 0),) * 2
        assert not torch.equal(before[f"norm{i}.running_mean"], after[f"norm{i}.running_mean"])


def test_batch_norms_that_learn_do_not_allow_cropping() -> None:
    """As a setting that `norm_eval` allows, and for inference in any case."""
    network = MODELS.build(dict(NETWORKS["SMLPNet"], training_padding="crop"))
    x = pad(images((50, 70)))
    with pytest.raises(ValueError, match="training_padding must be 'include' where batch norms"):
        network.train()(x)
    network.eval()(x)
    network.norm_eval = True
    network.train()(x)


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_is_cropped_by_default_where_it_pays(name: str) -> None:
    expected = "crop" if name == "S2MLP" else "include"
    assert MODELS.build(NETWORKS[name]).training_padding == expected


@pytest.mark.parametrize(
    ("old", "new"), [("kept", "include"), ("left_out", "crop"), ("counted", "crop")]
)
def test_former_values_serve_with_a_warning(old: str, new: str, log: list[tuple[int, str]]) -> None:
    network = MODELS.build(dict(NETWORKS["S2MLPv2"], training_padding=old))
    assert network.training_padding == new
    ((_, line),) = [entry for entry in log if "training_padding" in entry[1]]
    assert f"training_padding={old!r} is now {new!r}" in line


@pytest.mark.parametrize("value", ["gone", ["crop"]])
def test_a_wrong_value_is_named(value: object) -> None:
    message = re.escape(f"training_padding must be one of ('include', 'crop'), got {value!r}")
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(NETWORKS["S2MLP"], training_padding=value))


@pytest.mark.parametrize("name", ["S2MLP", "S2MLPv2"])
def test_diagonal_shifts(name: str) -> None:
    diagonal = ((1, 1), (0, 1))
    directions = dict(directions=diagonal) if name == "S2MLP" else dict(shifts=(diagonal, ()))
    network = training(MODELS.build(dict(NETWORKS[name], **directions, drop_path_rate=0.0)))
    assert_as_alone(network, images((50, 70), (96, 33)))


def test_sharded_weights_are_not_cropped(in_two_processes: Callable) -> None:
    """Ranks with images of different numbers of sizes would wait for each other for ever."""
    pytest.importorskip("torch", minversion="2.6", reason="needs a GPU before")

    def run(rank: int) -> tuple[list[bool], list[Tensor]]:
        from torch.distributed.fsdp import fully_shard

        network = build("S2MLP")
        found = [is_sharded(network)]
        for stage in network.stages:
            fully_shard(stage)
        found.append(is_sharded(network))
        batch = [images((64, 96), (64, 96)), images((64, 96), (50, 70))][rank]
        with torch.no_grad(), pytest.warns(UserWarning, match="weights are sharded"):
            return found, [y.clone() for y in network(pad(batch))]

    batches = images((64, 96), (64, 96)), images((64, 96), (50, 70))
    for (found, maps), batch in zip(in_two_processes(run), batches, strict=True):
        assert found == [False, True]
        with torch.no_grad():
            for y, expected in zip(maps, uncropped(build("S2MLP"), pad(batch)), strict=True):
                torch.testing.assert_close(y, expected)
