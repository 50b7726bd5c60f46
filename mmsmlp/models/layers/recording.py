"""Whether a graph is recorded, and a cache that is used if none is."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

try:
    from torch.compiler import is_compiling
except ImportError:  # before torch 2.3
    from torch._utils import is_compiling


def is_recording() -> bool:
    """Whether operations are traced, compiled, exported or transformed instead of run.

    Under tracing: no data-dependent branches, caches or in-place writes.
    """
    return torch.jit.is_tracing() or is_compiling() or is_transformed() or _is_dispatched()


def is_transformed() -> bool:
    """Whether ``torch.func`` transforms operations, for a derivative or for many inputs at once."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def _is_dispatched() -> bool:
    """Whether operations go to ``make_fx``, or to tensors without values."""
    if not (modes := _get_current_dispatch_mode_stack()):
        return False
    # Only now: these are slow to import, and whoever set a mode has them.
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode

    return any(isinstance(mode, FakeTensorMode | ProxyTorchDispatchMode) for mode in modes)


def build_once(build: Callable[..., Tensor], *args: Any) -> Tensor:
    """``build(*args)``, built at the first call and not to be written to.

    Under tracing it is built each time: it must be part of the graph, or is none to be kept.
    """
    return build(*args) if is_recording() else _built(build, *args)


@lru_cache(maxsize=2048)
def _built(build: Callable[..., Tensor], *args: Any) -> Tensor:
    # A tensor made in inference mode could not be used in training later.
    with torch.inference_mode(False):
        return build(*args)
