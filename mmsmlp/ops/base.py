"""Shared by all operators: a table, full precision, gradients."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# By the names that mmcv calls.
OPERATORS: dict[str, Callable[..., Any]] = {
    "get_compiler_version": lambda: "none: mmsmlp.ops",
    "get_compiling_cuda_version": lambda: "none: mmsmlp.ops",
}


def operator(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds a function to the operators; compiled ones know no autocast either."""

    @functools.wraps(function)
    def without_autocast(*args: Any, **kwargs: Any) -> Any:
        first = next(x for x in (*args, *kwargs.values()) if isinstance(x, Tensor))
        with torch.autocast(first.device.type, enabled=False):
            return function(*args, **kwargs)

    OPERATORS[function.__name__] = without_autocast
    return without_autocast


def single(*tensors: Tensor) -> list[Tensor]:
    """Half precision as single, in which torchvision computes under autocast, too."""
    return [x.float() if x.dtype in (torch.float16, torch.bfloat16) else x for x in tensors]


def gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad_output: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of a function with respect to each of its inputs, which it computes again."""
    with torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in single(*inputs)]
        output = function(*leaves)
    return torch.autograd.grad(output, leaves, grad_output.to(output.dtype))
