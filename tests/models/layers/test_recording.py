"""Recording is noticed by every way of recording, and by nothing else."""

import pytest
import torch
from torch import Tensor, nn

from mmsmlp.models.layers import is_recording


class Noticing(nn.Module):
    """Adds one where a graph is recorded."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if is_recording() else x


@pytest.mark.parametrize(
    "record",
    [
        torch.jit.trace,
        lambda module, x: torch.export.export(module, (x,)).module(),
        lambda module, x: torch.compile(module, backend="eager", fullgraph=True),
    ],
    ids=["trace", "export", "compile"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_recording_is_noticed(record) -> None:
    x = torch.zeros(2)
    assert torch.equal(Noticing()(x), x)
    assert torch.equal(record(Noticing(), x)(x), x + 1)
    assert torch.equal(Noticing()(x), x)
