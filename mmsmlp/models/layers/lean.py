"""Forward passes that nobody looks into may write over their own maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks

from .recording import is_recording

# As many as have the hidden layer of a channel MLP in a CPU's cache.
TOKENS_AT_A_TIME = 8192


def in_parts(*tokens: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Rows of tensors, on a CPU no more at a time than its cache has room for."""
    size = TOKENS_AT_A_TIME if tokens[0].is_cpu else max(len(tokens[0]), 1)
    return zip(*(x.split(size) for x in tokens), strict=True)


def is_lean(module: nn.Module) -> bool:
    """Whether the maps inside of a module are its own, to be overwritten or never made.

    That is so in evaluation mode, with no backward pass to come, where no graph is recorded and no
    hook sees what goes in or out of any of its parts.
    """
    return not (module.training or torch.is_grad_enabled() or is_recording() or is_observed(module))


def is_observed(module: nn.Module) -> bool:
    """Whether a forward hook sees what goes in or out of a module or of any of its parts."""
    return bool(_global_forward_hooks or _global_forward_pre_hooks) or any(
        part._forward_hooks or part._forward_pre_hooks for part in module.modules()
    )


def add(x: Tensor, y: Tensor, lean: bool) -> Tensor:
    """x + y, laid out as ``x``, in the memory of ``y`` if lean and that is laid out so."""
    own = lean and y.dtype == torch.result_type(x, y) and y.stride() == x.stride()
    return y.add_(x) if own else x + y


def add_branch(
    x: Tensor, branch: Callable[[Tensor], Tensor], drop_path: nn.Module, lean: bool
) -> Tensor:
    """x + drop_path(branch(x)) for a branch that treats each token by itself.

    If lean, this happens in the memory of ``x``, and on a CPU a number of tokens at a time.

    Args:
        x: ``(N, H, W, C)``, contiguous.
        branch: ``(..., C) -> (..., C)``.
        drop_path: Drops the branch in training.
        lean: See :func:`is_lean`.

    Returns:
        ``(N, H, W, C)``.
    """
    if not lean:
        return x + drop_path(branch(x))
    tokens = x.view(-1, x.shape[-1])
    for (part,) in in_parts(tokens):
        part += branch(part)
    return x
