"""Where the time of a pass goes, by torch's profiler."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

PRODUCTS = "products"
DEPTHWISE = "depthwise convolutions"
NORMS = "norms and activations"
SHIFTS = "shifts and resampling"
COPIES = "copies"
ELEMENTWISE = "additions and the like"
REST = "rest"
GROUPS = (PRODUCTS, DEPTHWISE, NORMS, SHIFTS, COPIES, ELEMENTWISE, REST)

# Names of operations, without namespace, `_backward`, and the `_` of those in place; the first
# pattern that fits decides. Before that, convolutions are separated by their weights.
PATTERNS = {
    PRODUCTS: r".*conv(olution|[123]d|_depthwise).*|_convolution|(add|badd)?b?mm|addbmm|mv|dot"
    r"|matmul|_addmm_activation|.*linear(_pointwise|_backward_\w+)?"
    r"|.*(scaled_dot_product|flash|efficient)_.*attention.*",
    NORMS: r".*(batch|layer|group|instance)_norm.*|native_norm.*|(log_)?_?softmax(_data)?|.*gelu"
    r"|.*relu6?|silu|mish|elu|sigmoid|tanh|hard\w+|threshold|clamp(_min|_max)?",
    SHIFTS: r"roll|.*pad(_nd|[123]d)?|pad_\w+|_?upsample.*|grid_sampler.*|.*pool[123]d.*"
    r"|_?index(_\w+)?|gather|scatter.*|im2col|col2im|flip|addcmul",
    COPIES: r"copy|_to_copy|to|clone|contiguous|cat|stack|fill|zero|repeat",
    ELEMENTWISE: r"r?sub|add|mul|div|true_divide|pow|square|sum|mean|var|neg|exp|log|r?sqrt"
    r"|reciprocal|abs|where|addcdiv|lerp|bernoulli|native_dropout|maximum|minimum"
    r"|[lg][te]|eq|ne|masked_fill|_foreach_\w+|mse_loss",
}
TOP = 20
PASS = "between operations"


def group_of(name: str, shapes: Sequence[Any] = ()) -> str:
    """The group that an operation belongs to.

    Args:
        name: As the profiler has it.
        shapes: Those of its arguments, empty for other objects than tensors.
    """
    bare = name.rpartition("::")[2].rstrip("_")
    backward = bare.endswith("_backward")
    bare = bare.removesuffix("_backward")
    for group, pattern in PATTERNS.items():
        if re.fullmatch(pattern, bare):
            if group == PRODUCTS and "conv" in bare and _is_depthwise(shapes[backward:]):
                return DEPTHWISE
            return group
    return REST


def _is_depthwise(shapes: Sequence[Any]) -> bool:
    """Whether a kernel sees one channel of several; given are the map's shape and the kernel's."""
    if len(shapes) < 2 or len(shapes[0]) < 3 or len(shapes[1]) < 3:
        return False
    return shapes[0][1] > 1 and shapes[1][1] == 1


def profile_passes(work: Any, device: str, rounds: int) -> dict[str, Any]:
    """Seconds of a pass by group, and the operations that take most.

    Time counts for the operation that spends it, not for its caller. On a CPU, the rest has the
    Python code between operations in it; on a GPU, only the time of kernels counts.

    Args:
        work: A pass, with ``fetch``, ``run`` and ``finish``.
        device: ``'cpu'`` or ``'cuda'``.
        rounds: How many passes to take the mean of.
    """
    activities = [ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    groups: Counter[str] = Counter(dict.fromkeys(GROUPS, 0.0))
    operations: Counter[tuple[str, str, str]] = Counter()
    for _ in range(rounds):
        data = work.fetch()
        with profile(activities=activities, record_shapes=True) as profiler:
            with record_function(PASS):
                work.run(data)
            if device == "cuda":
                torch.cuda.synchronize()
        work.finish()
        for event in profiler.key_averages(group_by_input_shape=True):
            # Kernels stand beside the operations that have launched them, which count already.
            if event.device_type == DeviceType.CPU:
                seconds = _self_time(event, device) / rounds
                group = group_of(event.key, event.input_shapes)
                groups[group] += seconds
                tensors = [shape for shape in event.input_shapes if shape]
                sizes = " ".join("x".join(map(str, shape)) for shape in tensors)
                operations[event.key, sizes, group] += seconds
    return dict(
        groups=dict(groups),
        operations=[
            dict(name=name, shapes=shapes, group=group, seconds=seconds)
            for (name, shapes, group), seconds in operations.most_common(TOP)
        ],
    )


def _self_time(event: Any, device: str) -> float:
    """Seconds in an operation itself."""
    if device == "cpu":
        return event.self_cpu_time_total / 1e6
    # Before torch 2.4 it was called otherwise.
    name = "self_device_time_total"
    return getattr(event, name if hasattr(event, name) else "self_cuda_time_total") / 1e6
