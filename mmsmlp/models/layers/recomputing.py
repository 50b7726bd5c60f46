"""Gradient checkpointing that leaves running statistics alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint as torch_checkpoint

from .recording import is_recording, is_transformed


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Within, the batch norms of ``module`` normalise as ever but learn no statistics."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, num_batches_tracked) in zip(norms, saved, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = num_batches_tracked


def checkpoint(module: nn.Module, x: Tensor, *others: Any) -> Tensor:
    """``module(x, *others)`` with its activations recomputed in the backward pass, to save memory.

    The second forward pass sees each batch again; torch's own function would let the batch norms
    count it twice. In a compiled graph it does not: statistics are written once, when the graph has
    run.

    Args:
        module: Any module of one tensor, and of what the backward pass has no interest in.
        x: Its input.
        others: What else it takes.

    Returns:
        Its output, the same as without checkpointing.
    """
    if is_transformed():  # where torch cannot checkpoint
        return module(x, *others)
    if is_recording():
        return torch_checkpoint(module, x, *others, use_reentrant=False)
    return torch_checkpoint(
        module,
        x,
        *others,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _statistics_kept(module)),
    )
