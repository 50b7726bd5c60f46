"""A CUDA device that computes nothing, so that its work can be counted without one.

Tensors are torch's fake ones, which have shapes, types and a device, but no values.
"""

from __future__ import annotations

import heapq
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.function import BackwardCFunction

Node = Any  # of autograd's graph
DEVICE = "cuda"


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Within, ``device="cuda"`` makes fake tensors, and autocast and our networks take them."""
    with ExitStack() as stack:
        # The real one switches itself off without a GPU.
        available = "torch.cuda.amp.common.amp_definitely_not_available"
        stack.enter_context(patch(available, return_value=False))
        stack.enter_context(patch("torch.cuda.is_bf16_supported", return_value=True))
        # Fake tensors make our layers take the form that compilers want; count the eager one.
        recorded = "mmsmlp.models.layers.recording._is_dispatched"
        stack.enter_context(patch(recorded, return_value=False))
        stack.callback(forget_cached)
        forget_cached()
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield


def forget_cached() -> None:
    """Empty the caches of our layers: real and fake tensors must not meet in one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("mmsmlp.models."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def to_fake(network: nn.Module) -> nn.Module:
    """Replace the parameters and buffers of a network by fake ones on the device, in place."""
    made: dict[int, Tensor] = {}  # shared ones stay shared

    def fake(x: Tensor) -> Tensor:
        return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=DEVICE)

    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in made:
                made[id(parameter)] = nn.Parameter(fake(parameter), parameter.requires_grad)
            module._parameters[name] = made[id(parameter)]
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = fake(buffer)
    return network


class Backward:
    """A backward pass by walking autograd's graph; the real engine insists on a device.

    It takes the same steps as the engine: nodes with the highest sequence number first, a sum
    where several gradients meet, gradients cast and summed to the node's shapes, hooks of
    tensors, and a copy into ``grad`` where memory formats differ. Hooks have to be registered
    within :meth:`watching_hooks`.
    """

    def __init__(self) -> None:
        self.node: Node = None  # that runs at the moment
        self.hooks: dict[tuple[Node, int], list[Any]] = {}

    @contextmanager
    def watching_hooks(self) -> Iterator[None]:
        """Within, hooks of tensors are noted: the graph does not give them away."""
        register = Tensor.register_hook

        def note(tensor: Tensor, hook: Any) -> Any:
            if tensor.grad_fn is not None:
                self.hooks.setdefault((tensor.grad_fn, tensor.output_nr), []).append(hook)
            return register(tensor, hook)

        with patch.object(Tensor, "register_hook", note):
            yield

    @torch.no_grad()
    def __call__(self, outputs: Sequence[Tensor], grads: Sequence[Tensor]) -> None:
        """Run, and set ``grad`` of all leaves."""
        waiting = self._count_users([y.grad_fn for y in outputs])
        arrived: dict[Node, list[Tensor | None]] = {}
        for y, grad in zip(outputs, grads, strict=True):
            self._arrive(arrived, y.grad_fn, y.output_nr, grad)
        ready: list[tuple[int, int, Node]] = []

        def push(node: Node) -> None:
            heapq.heappush(ready, (-node._sequence_nr(), id(node), node))

        for node in {y.grad_fn for y in outputs}:
            if not waiting[node]:
                push(node)
        while ready:
            *_, self.node = heapq.heappop(ready)
            results = self._run(self.node, arrived.pop(self.node, None))
            for (child, index), grad in zip(self.node.next_functions, results, strict=False):
                if child is None:
                    continue
                if grad is not None:
                    self._arrive(arrived, child, index, self._as_expected(grad, child, index))
                waiting[child] -= 1
                if not waiting[child]:
                    push(child)
        self.node = None

    @staticmethod
    def _count_users(roots: Sequence[Node]) -> Counter[Node]:
        """How many edges lead to each node."""
        users: Counter[Node] = Counter()
        seen, stack = set(roots), list(set(roots))
        while stack:
            for child, _ in stack.pop().next_functions:
                if child is not None:
                    users[child] += 1
                    if child not in seen:
                        seen.add(child)
                        stack.append(child)
        return users

    @staticmethod
    def _arrive(arrived: dict, node: Node, index: int, grad: Tensor) -> None:
        slots = arrived.setdefault(node, [None] * len(node._input_metadata))
        slots[index] = grad if slots[index] is None else slots[index] + grad

    @staticmethod
    def _as_expected(grad: Tensor, node: Node, index: int) -> Tensor:
        expected = node._input_metadata[index]
        if grad.shape != expected.shape:
            grad = grad.sum_to_size(expected.shape)
        return grad if grad.dtype == expected.dtype else grad.to(expected.dtype)

    def _run(self, node: Node, grads: list[Tensor | None] | None) -> Sequence[Tensor | None]:
        if grads is None:  # nothing came this way
            return [None] * len(node.next_functions)
        for index, grad in enumerate(grads):
            for hook in self.hooks.get((node, index), ()):
                grads[index] = hook(grad) if grad is not None else None
        if hasattr(node, "variable"):
            _accumulate(node.variable, *grads)
            return []
        if isinstance(node, BackwardCFunction):
            zeros = (
                torch.zeros(m.shape, dtype=m.dtype, device=m.device) if grad is None else grad
                for m, grad in zip(node._input_metadata, grads, strict=True)
            )
            results = node.apply(*zeros)
        else:
            results = node(*grads)
        return results if isinstance(results, tuple) else (results,)


def _accumulate(leaf: Tensor, grad: Tensor) -> None:
    if leaf.grad is not None:
        leaf.grad = leaf.grad + grad
    elif grad.stride() == leaf.stride() or (grad.is_contiguous() and leaf.is_contiguous()):
        leaf.grad = grad
    else:
        leaf.grad = torch.empty_like(leaf).copy_(grad)
