"""Whether a graph is being recorded."""

import torch


def is_recording() -> bool:
    """Whether operations are traced, compiled or exported instead of run.

    Then Python must neither look at values nor keep tensors for later.
    """
    # torch has this function from 2.3 on; before that, a compiler breaks the graph in two.
    is_compiling = getattr(torch.compiler, "is_compiling", lambda: False)
    return torch.jit.is_tracing() or is_compiling()
