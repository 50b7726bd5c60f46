"""Whether a graph is being recorded."""

import torch

try:
    from torch.compiler import is_compiling
except ImportError:  # before torch 2.3
    from torch._utils import is_compiling


def is_recording() -> bool:
    """Whether operations are traced, compiled, exported or transformed instead of run.

    Then Python must neither look at values, nor keep tensors for later, nor write over them.
    """
    transformed = torch._C._functorch.peek_interpreter_stack() is not None  # by torch.func
    return torch.jit.is_tracing() or is_compiling() or transformed
