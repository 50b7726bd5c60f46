"""Every trainable parameter has a gradient in every step, as data parallel training insists."""

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mmsmlp.registry import MODELS

STAGES = dict(embed_dims=(8, 12), depths=(1, 1), mlp_ratio=1, patch_sizes=(4, 2))
NETWORKS = [
    dict(type="SMLPNet", arch=STAGES, img_size=32),
    dict(type="S2MLPv2", arch=STAGES),
    dict(type="S2MLP", arch=dict(embed_dims=8, depth=2, patch_size=8, mlp_ratio=1)),
]
OUTPUTS = [(0,), (1,), (0, 1)]


def cases() -> Iterator[dict]:
    flags = (False, True)
    for network, outputs, with_cp, norm_eval in itertools.product(NETWORKS, OUTPUTS, flags, flags):
        for frozen_stages in range(-1, max(outputs) + 2):
            options = dict(out_indices=outputs, frozen_stages=frozen_stages, with_cp=with_cp)
            if network["type"] == "SMLPNet":
                options["norm_eval"] = norm_eval
            elif norm_eval:
                continue
            yield dict(network, drop_path_rate=0.5, **options)


class Model(nn.Module):
    """A backbone, and a head that learns even where all of the backbone is frozen."""

    def __init__(self, backbone: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * sum(y.square().mean() for y in self.backbone(x))


def test_every_trainable_parameter_is_used_with_any_frozen_returned_or_recomputed_stages(
    in_two_processes: Callable,
) -> None:
    def run(rank: int) -> list[str]:
        failures = []
        for case in cases():
            torch.manual_seed(0)
            model = DistributedDataParallel(Model(case).train(), find_unused_parameters=False)
            x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(rank))
            try:
                for _ in range(2):  # DDP complains about a step in the next one
                    model(x).backward()
            except RuntimeError as error:
                failures.append(f"{case}: {error}")
                continue
            trainable = [p for p in model.parameters() if p.requires_grad]
            if any(p.grad is None for p in trainable):
                failures.append(f"{case}: no gradient")
                continue
            mine = torch.cat([p.grad.flatten() for p in trainable])
            theirs = mine.clone()
            distributed.broadcast(theirs, src=0)
            if not torch.equal(mine, theirs):
                failures.append(f"{case}: gradients are not averaged")
        return failures

    assert in_two_processes(run) == [[], []]
