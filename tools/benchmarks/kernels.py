"""Cost of a pass on a GPU, counted without one: kernels, bytes, products and waits."""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmsmlp.engine.runner import markdown_table

from .fake_device import DEVICE, Backward, fake_cuda, to_fake
from .kernel_rules import Work, is_channels_last, kernels_of, tensors_in
from .passes import PRECISIONS, Case
from .subjects import Subject, build_network

# Instead of autocast: weights and images of half the size.
WEIGHTS = {f"{name}_weights": PRECISIONS[name] for name in ("bf16", "fp16")}
HALF = (torch.bfloat16, torch.float16)
READS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2")
SOURCE = re.compile(r'File "[^"]*/(mm[^"]+)", line (\d+)')


class Gpu(NamedTuple):
    """Rates per second, and seconds of a launch."""

    bandwidth: float
    half: float
    single: float
    launch: float = 4e-6


# Of products, 0.6 of the data sheet's rate: large ones reach as much.
GPUS = {
    "H200": Gpu(bandwidth=4.0e12, half=0.6 * 800e12, single=0.6 * 50e12),
    "A100": Gpu(bandwidth=1.6e12, half=0.6 * 250e12, single=0.6 * 17e12),
}


@dataclass(frozen=True)
class Kernel:
    """One kernel: its work, the type of its numbers, and the line that asked for it."""

    work: Work
    dtype: torch.dtype
    line: str

    def seconds(self, gpu: Gpu, launches: bool = True) -> float:
        """Estimated: the longest of the launch, the bytes and the products."""
        fast = self.dtype in HALF and not self.work.is_depthwise
        return max(
            gpu.launch if launches else 0.0,
            (self.work.read + self.work.written) / gpu.bandwidth,
            self.work.flops / (gpu.half if fast else gpu.single),
        )


@dataclass
class Counts:
    """All that a pass asks for.

    Args:
        kernels: In the order of their launch.
        waits: Operators that wait for the device or copy from the host, with the line.
        without_grad: Parameters that a backward pass left without a gradient.
    """

    kernels: list[Kernel] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    without_grad: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(kernel.work.read + kernel.work.written for kernel in self.kernels)

    @property
    def flops(self) -> int:
        return sum(kernel.work.flops for kernel in self.kernels)

    def seconds(self, gpu: Gpu, launches: bool = True) -> float:
        """On paper, one kernel after the other."""
        return sum(kernel.seconds(gpu, launches) for kernel in self.kernels)

    def lines(self) -> list[tuple[str, int]]:
        """The lines that launch kernels, those with most first."""
        return Counter(kernel.line for kernel in self.kernels).most_common()


class CountingMode(TorchDispatchMode):
    """Notes the kernels and waits of every operator.

    Args:
        counts: Where to note them.
        backward: Knows the node of autograd that runs.
        with_lines: Whether to look for the lines.
    """

    def __init__(self, counts: Counts, backward: Backward, with_lines: bool) -> None:
        super().__init__()
        self.counts, self.backward, self.with_lines = counts, backward, with_lines

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = str(func.overloadpacket).removeprefix("aten.")
        inputs = list(tensors_in([args, kwargs]))
        if name in READS and any(x.is_cuda for x in inputs):
            self.wait(f"{name} reads from the device")
        result = _as_cuda_lays_out(name, args, func(*args, **kwargs))
        outputs = list(tensors_in(result))
        copies = name in ("_to_copy", "copy_") and len({x.is_cuda for x in inputs + outputs}) > 1
        mixes = any(x.is_cuda for x in inputs + outputs) and any(
            not x.is_cuda and x.ndim for x in inputs
        )
        if copies or mixes:
            self.wait(f"{name} copies between host and device")
        for work in kernels_of(func, args, kwargs, result):
            floats = [x for x in inputs if x.is_floating_point() and x.numel() > 1] or outputs
            line = self.line() if self.with_lines else ""
            self.counts.kernels.append(Kernel(work, floats[0].dtype, line))
        return result

    def wait(self, text: str) -> None:
        """Note a wait."""
        self.counts.waits.append(f"{self.line()}: {text}")

    def line(self) -> str:
        """The line of a network that runs, or whose backward pass does; else the node's name."""
        frame = sys._getframe(2)
        while frame is not None and frame.f_code not in TOOL:
            _, package, path = frame.f_code.co_filename.rpartition("/mm")
            if package:
                return f"mm{path}:{frame.f_lineno}"
            frame = frame.f_back
        if self.backward.node is None:
            return "elsewhere"
        created = "".join(self.backward.node.metadata.get("traceback_", ()))
        found = SOURCE.findall(created)
        return "{}:{} backward".format(*found[-1]) if found else self.backward.node.name()


def _as_cuda_lays_out(name: str, args: Sequence[Any], result: Any) -> Any:
    """Results in the memory format that cuDNN gives them; fake tensors may have another."""
    if name in ("native_batch_norm_backward", "cudnn_batch_norm_backward"):
        x = args[1] if name.startswith("native") else args[0]
        return (_laid_out(result[0], is_channels_last(x)), *result[1:])
    if name == "convolution":
        return _laid_out(result, any(map(is_channels_last, args[:2])))
    if name == "convolution_backward":
        last = any(map(is_channels_last, args[1:3]))
        return (*(_laid_out(grad, last) for grad in result[:2]), result[2])
    return result


def _laid_out(x: Tensor | None, channels_last: bool) -> Tensor | None:
    if x is None or x.ndim != 4:
        return x
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty_like(x, memory_format=memory_format)


def count(
    network: nn.Module,
    case: Case,
    images: Sequence[tuple[int, int]] | None = None,
    with_lines: bool = True,
) -> Counts:
    """Count a pass through a network; the one before it fills its caches and is not counted.

    Args:
        network: Any backbone; its parameters become fake.
        case: Of the pass; its precision may be one of ``WEIGHTS``, too.
        images: Height and width of each image without its padding; the full size if not given.
        with_lines: Whether to look for the lines that launch kernels, which takes longer.
    """
    dtype = WEIGHTS.get(case.precision)
    training = case.mode == "training"
    sizes = [list(image) for image in images or [case.size] * case.batch]
    network.to(dtype).train(training)  # which returns nothing for some of mmdet
    with fake_cuda():
        to_fake(network)
        for is_last in (False, True):
            counts, backward = Counts(), Backward()
            mode = CountingMode(counts, backward, with_lines and is_last)
            image = torch.empty(case.batch, 3, *case.size, device=DEVICE, dtype=dtype)
            network.zero_grad(set_to_none=True)
            with ExitStack() as stack:
                stack.enter_context(backward.watching_hooks())
                if training and mode.with_lines:  # then nodes know the lines that made them
                    stack.enter_context(warnings.catch_warnings())
                    warnings.simplefilter("ignore")
                    stack.enter_context(torch.autograd.detect_anomaly(check_nan=False))
                # Read from the device: where the images end.
                stack.enter_context(patch.object(FakeTensor, "tolist", _reads(mode, sizes)))
                stack.enter_context(mode)
                with _autocast(case.precision), nullcontext() if training else torch.no_grad():
                    outputs = [y for y in network(image) if y.requires_grad or not training]
                if training:
                    backward(outputs, [torch.empty_like(y) for y in outputs])
    counts.without_grad = [
        name
        for name, parameter in network.named_parameters()
        if training and parameter.requires_grad and parameter.grad is None
    ]
    return counts


def _reads(mode: CountingMode, values: list[list[int]]) -> Any:
    def tolist(tensor: Tensor) -> Any:
        mode.wait("tolist reads from the device")
        return values

    return tolist


def _autocast(precision: str) -> Any:
    if precision == "fp32" or precision in WEIGHTS:
        return nullcontext()
    return torch.autocast(DEVICE, PRECISIONS[precision])


# Frames that are none of a network.
TOOL = (count.__code__, Backward.__call__.__code__)


def counts_of(
    subjects: Sequence[Subject],
    case: Case,
    images: Sequence[tuple[int, int]] | None = None,
    with_lines: bool = True,
) -> dict[str, Counts]:
    """:func:`count` of all subjects, each with its own rate of drop path, by their titles."""
    return {
        subject.title: count(build_network(subject, None), case, images, with_lines)
        for subject in subjects
    }


def table_of_counts(counts: Mapping[str, Counts], case: Case, reference: str, gpu: str) -> str:
    """Counts of one case in Markdown, with times on paper and their ratio to a reference."""
    rates = GPUS[gpu]

    def times(of: Counts, launches: bool) -> list[str]:
        seconds, other = (c.seconds(rates, launches) for c in (of, counts[reference]))
        return [f"{seconds * 1e3:.2f}", f"{seconds / other:.2f}"]

    head = ["kernels", "GB", "GMAC", f"ms on {gpu}", "ratio", "ms without launches", "ratio"]
    return markdown_table(
        [
            [f"{case.mode}, {case.precision}, {case.images}", *head, "waits"],
            *(
                [
                    title,
                    f"{len(of.kernels):,}",
                    f"{of.bytes / 1e9:.1f}",
                    f"{of.flops / 2e9:.0f}",
                    *times(of, True),
                    *times(of, False),
                    str(len(of.waits)),
                ]
                for title, of in counts.items()
            ),
        ]
    )


def report(
    subjects: Sequence[Subject],
    cases: Sequence[Case],
    reference: str,
    gpus: Sequence[str],
    images: Sequence[tuple[int, int]] | None = None,
    lines: int = 0,
) -> Iterator[str]:
    """Tables of all cases.

    Args:
        subjects: The networks.
        cases: Its passes.
        reference: Title of the network that ratios refer to.
        gpus: Keys of ``GPUS``, a table each.
        images: Height and width of each image without its padding.
        lines: How many of the lines that launch most to name for each network.
    """
    for case in cases:
        counts = counts_of(subjects, case, images, with_lines=lines > 0)
        for gpu in gpus:
            yield table_of_counts(counts, case, reference, gpu)
        for title, of in counts.items():
            text = [f"{n:6} {line}" for line, n in of.lines()[:lines]]
            text += [f"  wait {wait}" for wait in of.waits]
            if text:
                yield "\n".join([title, *text, ""])
