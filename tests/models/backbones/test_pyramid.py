"""What every backbone in the registry has to do, whatever its blocks are."""

from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pytest
import torch

from mmsmlp.models import backbones
from mmsmlp.registry import MODELS

FOUR_STAGES = dict(embed_dims=(8, 12, 16, 24), depths=(1, 2, 1, 2), mlp_ratio=2)
TWO_STAGES = dict(embed_dims=(8, 16), depths=(1, 2), mlp_ratio=2)
SMALL = {
    "SMLPNet": dict(type="SMLPNet", arch=FOUR_STAGES),
    # Else chance may drop a branch in all images, and leave its parameters without a gradient.
    "S2MLPv2": dict(
        type="S2MLPv2", arch=dict(FOUR_STAGES, patch_sizes=(4, 2, 2, 2)), drop_path_rate=0.0
    ),
    "CycleMLP": dict(
        type="CycleMLP",
        arch=dict(embed_dims=(8, 12, 16, 24), depths=(1, 2, 1, 2), mlp_ratios=(2, 2, 3, 2)),
        drop_path_rate=0.0,
    ),
    "S2MLP": dict(
        type="S2MLP",
        arch=dict(embed_dims=16, depth=4, patch_size=16, mlp_ratio=2),
        out_indices=(0, 1, 2, 3),
    ),
}
# Other shapes of the same networks: two levels, two stages of one level, one output of many.
SHAPES = {
    "S2MLPv2/7": dict(SMALL["S2MLPv2"], arch=dict(TWO_STAGES, patch_sizes=(7, 2))),
    "S2MLPv2/14": dict(
        SMALL["S2MLPv2"], arch=dict(TWO_STAGES, embed_dims=(8, 8), patch_sizes=(14, 1))
    ),
    "S2MLP/last": dict(SMALL["S2MLP"], out_indices=-1),
}
# A block that begins as the identity leaves most of its parameters without a gradient.
NO_ZEROS = dict(type="Kaiming", layer=["Conv2d", "Linear"])
SIZES = [(224, 224), (800, 1333), (97, 61), (33, 500), (1, 1)]


@pytest.fixture(params=SMALL)
def build(request: pytest.FixtureRequest):
    def build(**arguments):
        torch.manual_seed(0)
        network = MODELS.build(
            {**{**SMALL, **SHAPES}[request.param], "init_cfg": NO_ZEROS, **arguments}
        )
        network.init_weights()
        return network

    return build


def test_every_registered_backbone_is_here() -> None:
    assert {getattr(backbones, name) for name in backbones.__all__} <= {
        MODELS.get(small["type"]) for small in SMALL.values()
    }


@pytest.mark.parametrize("build", [*SMALL, *SHAPES], indirect=True)
@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_any_size_runs_forward_and_backward(build, size: tuple[int, int]) -> None:
    network = build()
    outputs = network(torch.randn(2, 3, *size))
    expected = [
        (2, channels, ceil(size[0] / stride), ceil(size[1] / stride))
        for channels, stride in zip(network.channels, network.strides, strict=True)
    ]
    assert [tuple(y.shape) for y in outputs] == expected
    # Random weights on the outputs: the plain sum of a batch norm is constant.
    sum((y * torch.randn_like(y)).sum() for y in outputs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # With one token a channel, batch norm passes no gradient on but through its bias.
        assert size == (1, 1) or parameter.grad.any(), name


@pytest.mark.parametrize("build", [*SMALL, *SHAPES], indirect=True)
def test_gradients_in_single_precision_are_those_in_double(build) -> None:
    """Torch 2.1 has fast paths for single precision that memory formats can break."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 97, 61, dtype=torch.float64)
    gradients = {}
    for dtype in (torch.float64, torch.float32):
        network = build().eval().to(dtype)
        loss = sum(y.sin().sum() for y in network(x.to(dtype)))
        gradients[dtype] = torch.autograd.grad(loss, network.parameters())
    for double, single in zip(*gradients.values(), strict=True):
        scale = double.abs().max().item()
        torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("build", [*SMALL, *SHAPES], indirect=True)
@pytest.mark.parametrize("size", [(97, 61), (224, 224), (1, 40)], ids=str)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last, None])
def test_inplace_inference_matches_forward(build, memory_format, size: tuple[int, int]) -> None:
    """Channel MLPs write over their hidden layer in inference; hooks keep them from that."""
    network = build().eval()
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 3, *size)
    x = (
        torch.cat([x, x], dim=3)[..., ::2]
        if memory_format is None
        else (x.contiguous(memory_format=memory_format))
    )
    given = x.clone()
    with torch.no_grad():
        inplace = network(x)
        for module in network.modules():
            module.register_forward_hook(lambda *_: None)
        for ours, plain in zip(inplace, network(x), strict=True):
            scale = plain.abs().max().item()
            torch.testing.assert_close(ours, plain, rtol=0, atol=1e-5 * scale)
    assert torch.equal(x, given)


@pytest.mark.parametrize("build", [*SMALL, *SHAPES], indirect=True)
@pytest.mark.parametrize("size", [(97, 61), (224, 224), (1, 40)], ids=str)
def test_linear_maps_as_convolutions_change_no_number(
    build, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    """Outputs and gradients within 1e-5 of their largest value."""
    x = torch.randn(2, 3, *size)

    def results() -> list[torch.Tensor]:
        network = build().eval()
        outputs = network(x)
        loss = sum(y.sin().sum() for y in outputs)
        return [*outputs, *torch.autograd.grad(loss, network.parameters())]

    plain = results()
    request.getfixturevalue("convolutions")
    for fast, slow in zip(results(), plain, strict=True):
        scale = slow.abs().max().item()
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("build", [*SMALL, *SHAPES], indirect=True)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_outputs_are_contiguous(build, memory_format: torch.memory_format) -> None:
    """Else RoIAlign of mmcv silently computes something else."""
    image = torch.randn(2, 3, 97, 61).contiguous(memory_format=memory_format)
    assert all(y.is_contiguous() for y in build()(image))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("build", [*SMALL, *SHAPES], indirect=True)
def test_traced_as_tools_that_count_flops_do(build) -> None:
    network, x = build().eval(), torch.randn(2, 3, 97, 61)
    with torch.no_grad():
        traced = torch.jit.trace(network, x)
        torch.testing.assert_close(traced(x), network(x), atol=1e-5, rtol=1e-5)


def test_a_single_image_of_one_pixel(build) -> None:
    outputs = build().eval()(torch.randn(1, 3, 1, 1))
    assert all(y.shape[2:] == (1, 1) and y.isfinite().all() for y in outputs)


def test_images_of_a_batch_do_not_see_each_other(build) -> None:
    network = build().eval()
    x = torch.randn(2, 3, 45, 70)
    for both, alone in zip(network(x), network(x[1:]), strict=True):
        torch.testing.assert_close(both[1:], alone)


@pytest.mark.parametrize("out_indices", [(0, 1, 2, 3), (3, 1), (2,), 0, -1])
def test_out_indices_pick_and_order(build, out_indices) -> None:
    x = torch.randn(2, 3, 40, 64)
    indices = [i % 4 for i in ([out_indices] if isinstance(out_indices, int) else out_indices)]
    everything = build().eval()
    picked = build(out_indices=out_indices).eval()
    missing, _ = picked.load_state_dict(everything.state_dict(), strict=False)
    assert not missing
    whole = everything(x)
    for i, y in zip(indices, picked(x), strict=True):
        assert torch.equal(y, whole[i])
    assert picked.channels == [everything.channels[i] for i in indices]
    assert picked.strides == [everything.strides[i] for i in indices]


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    """A process group of one, enough for DDP to check what takes part in the loss."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    "arguments",
    [
        dict(out_indices=(0,)),
        dict(out_indices=(1, 2)),
        dict(out_indices=(3,), with_cp=True),
        dict(frozen_stages=0),
        dict(frozen_stages=2, with_cp=True),
    ],
    ids=str,
)
def test_distributed_training_finds_no_unused_parameter(build, process_group, arguments) -> None:
    """DDP raises in the second step if a parameter had no part in the first loss."""
    network = torch.nn.parallel.DistributedDataParallel(build(**arguments))
    for _ in range(2):
        outputs = network(torch.randn(2, 3, 64, 64))
        sum((y * torch.randn_like(y)).sum() for y in outputs).backward()


@pytest.mark.parametrize("frozen_stages", [-1, 0, 1, 3, 4])
def test_freezing_holds_from_the_start_and_through_train(build, frozen_stages: int) -> None:
    network = build(frozen_stages=frozen_stages)
    frozen = [f"stages.{i}." for i in range(frozen_stages)] + ["stages.0.patch_embed."]
    frozen += [f"norm{i}." for i in range(frozen_stages)]
    frozen = tuple(frozen) if frozen_stages >= 0 else ()

    def check() -> None:
        for name, parameter in network.named_parameters():
            assert parameter.requires_grad is not name.startswith(frozen or "-"), name

    check()
    network.eval().train()
    check()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in network.parameters() if p.requires_grad] or [torch.zeros(1)], lr=0.1
    )
    outputs = network(torch.randn(2, 3, 64, 64))
    if frozen_stages < 4:
        sum((y * torch.randn_like(y)).sum() for y in outputs).backward()
        optimizer.step()
    for name, value in network.state_dict().items():
        changed = not torch.equal(value, before[name])
        assert changed is not name.startswith(frozen or "-"), name


def test_checkpointing_changes_no_number(build) -> None:
    x = torch.randn(2, 3, 50, 64)
    gradients, statistics = [], []
    for with_cp in (False, True):
        network = build(with_cp=with_cp, drop_path_rate=0.3)
        torch.manual_seed(1)
        outputs = network(x)
        sum(y.square().mean() * (i + 1) for i, y in enumerate(outputs)).backward()
        gradients.append([p.grad for p in network.parameters()])
        statistics.append(network.state_dict())
    torch.testing.assert_close(gradients[1], gradients[0])
    torch.testing.assert_close(statistics[1], statistics[0], rtol=0, atol=0)


@pytest.mark.parametrize("with_cp", [False, True])
def test_checkpointing_recomputes_each_block_once(build, with_cp: bool) -> None:
    network, calls = build(with_cp=with_cp), []
    for stage in network.stages:
        for block in stage.blocks:
            block.register_forward_pre_hook(lambda block, _: calls.append(block))
    x = torch.randn(2, 3, 50, 64)
    with torch.no_grad():
        network(x)
    depth = sum(network.depths)
    assert len(calls) == len(set(calls)) == depth
    sum((y * torch.randn_like(y)).sum() for y in network(x)).backward()
    assert len(calls) == depth * (3 if with_cp else 2)


def test_a_dropped_block_is_the_identity(build) -> None:
    """In both of its branches, where its rate leaves nothing to chance."""
    torch.manual_seed(0)
    block = build(drop_path_rate=1 - 1e-6).stages[-1].blocks[-1]
    channels = next(parameter for parameter in block.parameters() if parameter.ndim == 1).numel()
    x = torch.randn(4, channels, 6, 5)
    assert torch.equal(block(x), x)
    assert not torch.allclose(block.eval()(x), x, atol=0.1)


def test_layer_depth_counts_stem_blocks_and_head(build) -> None:
    network = build()
    num_layers = sum(network.depths) + 2
    order = []
    for name, _ in network.named_parameters():
        depth, total = network.get_layer_depth(f"backbone.{name}", "backbone.")
        assert total == num_layers
        if name.startswith("stages"):
            order.append(depth)
        else:
            assert depth == num_layers - 1, name
    assert order == sorted(order)
    assert set(order) == set(range(num_layers - 1))
    assert network.get_layer_depth("neck.conv.weight", "backbone.") == (num_layers - 1, num_layers)
    # A patch merging learns as fast as the block that it feeds.
    first = network.get_layer_depth("stages.1.blocks.0.x")
    assert network.get_layer_depth("stages.1.patch_embed.weight") == first == (2, num_layers)
