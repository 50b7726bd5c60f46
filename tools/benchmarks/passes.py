"""One pass through a backbone: a forward pass, or a forward and a backward pass."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .subjects import Subject, build_network

MODES = ("inference", "training")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Case:
    """Settings of a pass.

    Args:
        mode: One of ``MODES``.
        precision: One of ``PRECISIONS``; autocast, if less than full.
        size: Height and width of the images; the data's own if None.
        batch: Number of images; the data loader's if None.
    """

    mode: str
    precision: str
    size: tuple[int, int] | None = None
    batch: int | None = None

    @property
    def images(self) -> str:
        """Size and number of the images."""
        if self.size is None:
            return "own data"
        return f"{self.size[0]}x{self.size[1]}" + (f"@{self.batch}" if self.batch != 1 else "")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Case:
        """From JSON, which has lists for tuples."""
        return cls(**dict(values, size=values["size"] and tuple(values["size"])))


def autocast(device: str, precision: str) -> AbstractContextManager:
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device, PRECISIONS[precision])


def usable(device: str, precision: str) -> bool:
    """Whether torch computes in a precision; older ones do not in fp16 on a CPU."""
    x = torch.ones(1, 1, device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with autocast(device, precision):
            return F.linear(x, x).dtype == PRECISIONS[precision]


def loss_of(outputs: Tensor | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """A number that depends on all outputs."""
    outputs = [outputs] if isinstance(outputs, Tensor) else outputs
    return sum(y.float().square().mean() for y in outputs)


class NetworkPass:
    """Passes through a backbone, on noise.

    Args:
        subject: Which one.
        device: ``'cpu'`` or ``'cuda'``.
    """

    def __init__(self, subject: Subject, device: str) -> None:
        self.subject, self.device = subject, device
        self.channels_last = subject.name.endswith("channels_last")
        self.network = build_network(subject).to(device)
        if self.channels_last:
            self.network.to(memory_format=torch.channels_last)

    def prepare(self, case: Case) -> None:
        self.case = case
        torch.manual_seed(0)
        self.image = torch.randn(case.batch, 3, *case.size, device=self.device)
        if self.channels_last:
            self.image = self.image.contiguous(memory_format=torch.channels_last)
        self.network.train(case.mode == "training")
        self.forward = self.network
        if self.subject.compiled:
            # Again for each case: a second size would otherwise be compiled for all sizes.
            torch.compiler.reset()
            self.forward = torch.compile(self.network)

    def fetch(self) -> Tensor:
        """Input of the next pass; made outside of the timed part."""
        return self.image

    def run(self, image: Tensor) -> None:
        amp = autocast(self.device, self.case.precision)
        if self.case.mode == "inference":
            with torch.inference_mode(), amp:
                self.forward(image)
        else:
            with amp:
                loss = loss_of(self.forward(image))
            loss.backward()

    def finish(self) -> None:
        """Free the results of the pass."""
        self.network.zero_grad(set_to_none=True)

    def multiply_adds(self) -> int:
        """Of matrix products and convolutions in a pass, without anything that is recomputed.

        The backward pass of a product is two more, one for each of its factors. torch's counter
        would take depthwise convolutions for dense ones there.
        """
        self.twin.eval()
        image = torch.zeros(self.image.shape, device="meta")
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.twin(image)
        return counter.get_total_flops() // 2 * (3 if self.case.mode == "training" else 1)

    @cached_property
    def twin(self) -> nn.Module:
        """The network without numbers."""
        return build_network(self.subject).to("meta")
