"""Activations that are computed again in the backward pass, to save memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint as torch_checkpoint

from .activation import GELU_INPUTS
from .recording import is_recording, is_transformed


def checkpoint(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)`` with its activations recomputed in the backward pass, to save memory.

    The second forward pass sees each batch again; torch's own function would let the batch norms
    count it twice. In a compiled graph it does not: statistics are written once, when the graph has
    run.

    Args:
        module: Any module of one tensor.
        x: Its input.

    Returns:
        Its output, the same as without checkpointing.
    """
    if is_transformed():  # where torch cannot checkpoint
        return module(x)
    if is_recording():
        return torch_checkpoint(module, x, use_reentrant=False)
    return torch_checkpoint(
        module,
        x,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _statistics_kept(module)),
    )


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


def recompute_gelu(module: nn.Module, x: Tensor) -> Tensor:
    """``module(x)``, which keeps no output of a :class:`GELU` for the backward pass.

    It is computed again from the input, which the GELU keeps anyway: on a CPU, a GELU costs less
    than the memory. On other devices it is kept.

    Args:
        module: Any module of one tensor.
        x: Its input.

    Returns:
        Its output.
    """
    if not (x.is_cpu and torch.is_grad_enabled()) or is_recording() or _has_saved_tensor_hooks():
        return module(x)
    inputs: dict[tuple[StorageWeakRef, int], Tensor] = {}

    def pack(saved: Tensor) -> tuple:
        source = inputs.get((StorageWeakRef(saved.untyped_storage()), saved._version))
        if source is None:
            return saved, saved._version
        return source, (saved.size(), saved.stride(), saved.storage_offset())

    def unpack(packed: tuple) -> Tensor:
        saved, version = packed
        if isinstance(version, tuple):
            return F.gelu(saved).as_strided(*version)
        if saved._version != version:  # which torch checks only without hooks
            raise RuntimeError("a tensor needed by the backward pass was modified in place")
        return saved

    token = GELU_INPUTS.set(inputs)
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            return module(x)
    finally:
        GELU_INPUTS.reset(token)


def _has_saved_tensor_hooks() -> bool:
    """Whether somebody else decides how tensors are saved, such as checkpointing; or who knows."""
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(True) is not None
