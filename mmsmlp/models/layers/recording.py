"""Whether a graph is being recorded."""

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

try:
    from torch.compiler import is_compiling
except ImportError:  # before torch 2.3
    from torch._utils import is_compiling


def is_recording() -> bool:
    """Whether operations are traced, compiled, exported or transformed instead of run.

    Then Python must neither look at values, nor keep tensors for later, nor write over them.
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
