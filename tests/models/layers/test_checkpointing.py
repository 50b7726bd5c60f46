"""Recomputing activations changes memory and nothing else."""

import copy

import pytest
import torch
from torch import Tensor, nn

from mmsmlp.models.layers import GELU, ChannelMLP, checkpoint, recompute_gelu


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

        def pack(tensor: Tensor) -> Tensor:
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            function()
        return count

    assert saved_elements(lambda: checkpoint(block, x)) < saved_elements(lambda: block(x)) / 4


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_recomputed_gelu_changes_no_number(
    memory_format: torch.memory_format, compiler: None
) -> None:
    """Numbers, gradients and gradients of gradients are the same."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 3, 3, padding=1, groups=3).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=memory_format)
    inputs = x.requires_grad_(), *conv.parameters()
    results = []
    for run in (recompute_gelu, lambda module, x: module(x)):
        y = run(nn.Sequential(GELU(), conv), x)
        first = torch.autograd.grad(y.sin().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), inputs)
        results.append([y, *first, *second])
    torch.testing.assert_close(*results)


def test_no_gelu_is_kept(compiler: None) -> None:
    """Of a hidden layer of 24 channels, one map is: the input of the GELU."""
    mlp, x = ChannelMLP(8, mlp_ratio=3), torch.randn(50, 8, requires_grad=True)
    gelus = []
    mlp.act.register_forward_hook(lambda *call: gelus.append(call[2].untyped_storage()._weak_ref()))
    for run, is_kept in [(recompute_gelu, False), (lambda module, x: module(x), True)]:
        gelus.clear()
        y = run(mlp, x)
        assert torch.UntypedStorage._expired(gelus[0]) != is_kept
        y.sum().backward()


def test_a_gelu_that_was_written_to_is_kept(compiler: None) -> None:
    class Doubled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return GELU()(x).mul_(2) ** 2

    x = torch.randn(7, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: recompute_gelu(Doubled(), x), x.requires_grad_(), check_undefined_grad=False
    )


def test_writing_over_what_is_saved_is_an_error_as_ever(compiler: None) -> None:
    class Wrong(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = 2 * x
            z = y.square()
            y.add_(1)
            return z

    y = recompute_gelu(Wrong(), torch.randn(3, requires_grad=True))
    with pytest.raises(RuntimeError, match="modified in place"):
        y.sum().backward()


def test_it_leaves_saving_to_others(compiler: None) -> None:
    """To checkpointing, whose hooks would not see what is kept here."""
    x, module = torch.randn(2, 3, requires_grad=True), nn.Sequential(GELU(), nn.Linear(3, 3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        recompute_gelu(module, x)
    assert any(torch.equal(saved, nn.GELU()(x)) for saved in kept)
