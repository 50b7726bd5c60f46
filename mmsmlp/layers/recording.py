"""Whether a graph is being recorded."""

import torch

try:
    from torch.compiler import is_compiling
except ImportError:  # before torch 2.3
    from torch._utils import is_compiling


def is_recording() -> bool:
    """Whether operations are traced, compiled or exported instead of run.

    Then Python must neither look at values nor keep tensors for later.
    """
    return torch.jit.is_tracing() or is_compiling()
