"""When a forward pass may write over its own maps, and how it then adds."""

import pytest
import torch
from torch import nn

from mmsmlp.models.layers import add, add_branch, is_lean, is_observed


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.GELU())).eval()


def test_lean_is_inference_that_nobody_looks_into() -> None:
    module = network()
    assert not is_lean(module)
    with torch.no_grad():
        assert is_lean(module) and not is_lean(network().train())
        for register in (module[1][0].register_forward_hook, module.register_forward_pre_hook):
            hook = register(lambda *_: None)
            assert is_observed(module) and not is_lean(module)
            hook.remove()
            assert is_lean(module)
        hook = nn.modules.module.register_module_forward_hook(lambda *_: None)
        assert not is_lean(module)
        hook.remove()
        assert is_lean(module)


def test_lean_is_not_what_is_transformed() -> None:
    seen, module = [], network()

    def function(x: torch.Tensor) -> torch.Tensor:
        seen.append(is_lean(module))
        return x

    with torch.no_grad():
        torch.func.vmap(function)(torch.zeros(2, 3))
    assert seen == [False]


def test_a_sum_takes_the_memory_of_the_second_if_lean() -> None:
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    expected = x + y
    assert torch.equal(add(x, y, lean=False), expected)
    lean = add(x, y, lean=True)
    assert torch.equal(lean, expected) and lean is y
    # Not where it would round.
    half = y.bfloat16()
    assert add(x, half, lean=True).dtype is torch.float32


@pytest.mark.parametrize("size", [(3, 5), (1, 1), (90, 200)])
def test_a_branch_is_added_to_each_token(size: tuple[int, int]) -> None:
    """More tokens than go at a time, too."""
    torch.manual_seed(0)
    x, layer = torch.randn(2, *size, 4), nn.Linear(4, 4)
    expected = x + layer(x)
    given = x.clone()
    torch.testing.assert_close(add_branch(x, layer, nn.Identity(), lean=False), expected)
    assert torch.equal(x, given)
    with torch.no_grad():
        y = add_branch(x, layer, nn.Identity(), lean=True)
    assert y is x
    torch.testing.assert_close(y, expected)


def test_what_is_not_contiguous_is_refused() -> None:
    """A copy would be written to in its place."""
    with pytest.raises(RuntimeError, match="view"), torch.no_grad():
        x = torch.randn(2, 4, 3, 5).permute(0, 2, 3, 1)
        add_branch(x, nn.Identity(), nn.Identity(), lean=True)


def test_add_keeps_the_layout_of_what_is_added_to() -> None:
    """A part of a larger map, as windows leave it, is not where the sum may be."""
    x, wide = torch.randn(2, 4, 3, 5), torch.randn(2, 4, 3, 8)
    expected, before = x + wide[..., 1:6], wide.clone()
    y = add(x, wide[..., 1:6], lean=True)
    torch.testing.assert_close(y, expected)
    assert y.is_contiguous()
    torch.testing.assert_close(wide, before, atol=0, rtol=0)
