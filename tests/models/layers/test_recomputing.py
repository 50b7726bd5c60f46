"""Checkpointing changes memory and nothing else."""

import copy

import torch
from torch import nn

from mmsmlp.models.layers import checkpoint


def test_same_gradients_and_same_statistics() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.GELU(), nn.Dropout(0.5))
    saved = copy.deepcopy(plain)
    x = torch.randn(2, 3, 5, 5)

    torch.manual_seed(1)
    plain(x).square().sum().backward()
    torch.manual_seed(1)
    checkpoint(saved, x).square().sum().backward()

    for ours, theirs in zip(saved.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for name, buffer in saved.state_dict().items():
        assert torch.equal(buffer, plain.state_dict()[name]), name
    assert saved[1].momentum == plain[1].momentum


def test_activations_are_not_kept() -> None:
    """Fewer tensors are saved for the backward pass: that is what it is for."""
    block = nn.Sequential(*[nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(4)])
    x = torch.randn(2, 8, requires_grad=True)

    def saved_elements(function) -> int:
        count = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            function()
        return count

    assert saved_elements(lambda: checkpoint(block, x)) < saved_elements(lambda: block(x)) / 4
