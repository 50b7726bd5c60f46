"""Passes of a network whose weights are spread over ranks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import distributed, nn
from torch.distributed import ProcessGroup
from torch.distributed.fsdp import FullyShardedDataParallel


def sharding_groups(network: nn.Module) -> list[ProcessGroup]:
    """Groups of ranks that meet whenever a part of the network runs, to gather its weights.

    Args:
        network: Any network; its parts may be sharded by ``FullyShardedDataParallel`` or by
            ``fully_shard``.

    Returns:
        The groups, in the same order on each rank. Weights that are gathered already, as those of
        the whole model are while it runs, belong to none.
    """
    groups = [
        part.process_group
        for part in network.modules()
        if isinstance(part, FullyShardedDataParallel)
    ]
    for parameter in network.parameters():
        # What `fully_shard` makes of it is a DTensor, of a module that torch 2.1 has elsewhere.
        for axis, placement in enumerate(getattr(parameter, "placements", ())):
            if placement.is_shard():
                groups.append(parameter.device_mesh.get_group(axis))
    return list(dict.fromkeys(groups))


def most_passes(passes: int, groups: Iterable[ProcessGroup], device: torch.device) -> int:
    """The largest number of passes that any rank of the groups wants to make.

    Args:
        passes: What this rank wants.
        groups: See :func:`sharding_groups`.
        device: Where the ranks' backend works.
    """
    for group in groups:
        most = torch.tensor(passes, device=device)
        distributed.all_reduce(most, distributed.ReduceOp.MAX, group=group)
        passes = int(most)
    return passes
