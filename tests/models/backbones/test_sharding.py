"""Weights spread over ranks: all ranks make as many passes, and the features stay the same."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mmsmlp.models.backbones import SMLPNet
from mmsmlp.models.backbones.sharding import sharding_groups

ARCH = dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2)


def build() -> nn.Module:
    torch.manual_seed(0)
    return SMLPNet(ARCH, img_size=32, out_indices=(0, 1)).eval()


def batch(rank: int) -> Tensor:
    """Images of one extent on rank 0, of three on rank 1."""
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(rank))
    if rank == 1:
        x[0, :, 20:] = 0
        x[1, :, :, 9:] = 0
    return x


def shard(network: nn.Module) -> nn.Module:
    """Torch's newer way."""
    from torch.distributed.fsdp import fully_shard

    return fully_shard(network)


def wrap(network: nn.Module) -> nn.Module:
    """Torch's older way, which mmengine takes."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    return FullyShardedDataParallel(network, device_id=torch.device("cpu"), use_orig_params=True)


@pytest.fixture(params=[shard, wrap])
def sharded(request: pytest.FixtureRequest) -> Callable[[nn.Module], nn.Module]:
    pytest.importorskip("torch", minversion="2.6", reason="needs a GPU before")
    return request.param


def test_ranks_with_images_of_different_extents_do_not_wait_for_ever(
    sharded: Callable, in_two_processes: Callable
) -> None:
    def run(rank: int) -> tuple[int, tuple[Tensor, ...]]:
        network = build()
        network.stages = nn.ModuleList(sharded(stage) for stage in network.stages)
        whole = sharded(network)
        with torch.no_grad():
            return len(sharding_groups(network)), whole(batch(rank))

    for rank, (groups, maps) in enumerate(in_two_processes(run)):
        assert groups == 1
        with torch.no_grad():
            for y, expected in zip(maps, build()(batch(rank)), strict=True):
                torch.testing.assert_close(y, expected)


def test_weights_gathered_once_for_the_whole_network_need_no_agreement(
    sharded: Callable, in_two_processes: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "mmsmlp.models.backbones.pyramid.sharding_groups",
        lambda network: asked.append(sharding_groups(network)) or [],
    )

    def run(rank: int) -> list:
        network = sharded(build())
        with torch.no_grad():
            network(batch(rank))
        return asked

    assert in_two_processes(run) == [[[]], [[]]]


def test_what_is_not_sharded_belongs_to_no_group() -> None:
    assert sharding_groups(build()) == []
