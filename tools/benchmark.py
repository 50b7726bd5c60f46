"""What sMLPNet-T costs beside Swin-T and ResNet-50, in multiply-adds, seconds and memory."""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from documents import markdown_table, renew_tables
from mmdet.models.backbones import ResNet, SwinTransformer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmsmlp.backbones import SMLPNet
from mmsmlp.layers import AxialMixing, SparseMLP, resampling_matrix

DOCS = Path(__file__).parents[1] / "docs" / "cost.md"
SIZES = [(224, 224), (384, 384), (512, 512), (800, 1344), (1024, 1024), (2048, 2048)]


class FullForm(nn.Module):
    """The sMLP written down: a matrix for each axis at full length, concatenation, convolution."""

    def __init__(self, smlp: SparseMLP) -> None:
        super().__init__()
        self.smlp = smlp

    def forward(self, x: Tensor) -> Tensor:
        row, row_bias = self.matrix(self.smlp.row, x.shape[3])
        column, column_bias = self.matrix(self.smlp.column, x.shape[2])
        branches = [x, x @ row.T + row_bias, column @ x + column_bias[:, None]]
        return F.conv2d(torch.cat(branches, dim=1), self.smlp.fuse.weight)

    @staticmethod
    def matrix(axial: AxialMixing, length: int) -> tuple[Tensor, Tensor]:
        weight, bias = axial.weight, axial.bias
        if length == axial.length:
            return weight, bias
        down = resampling_matrix(length, axial.length, weight.dtype, weight.device)
        up = resampling_matrix(axial.length, length, weight.dtype, weight.device)
        return up @ weight @ down, up @ bias


def smlpnet() -> nn.Module:
    return SMLPNet("tiny")


def smlpnet_in_full() -> nn.Module:
    network = SMLPNet("tiny")
    for stage in network.stages:
        for block in stage.blocks:
            block.smlp = FullForm(block.smlp)
    return network


def swin() -> nn.Module:
    return SwinTransformer(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24))


def resnet() -> nn.Module:
    return ResNet(50)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "sMLPNet-T": smlpnet,
    "sMLPNet-T in full form": smlpnet_in_full,
    "Swin-T": swin,
    "ResNet-50": resnet,
}


def multiply_adds(name: str, size: tuple[int, int]) -> float:
    """Of matrix products and convolutions, in billions, for one image."""
    network = NETWORKS[name]().to("meta")
    network.eval()
    image = torch.zeros(1, 3, *size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return counter.get_total_flops() / 2e9


def cost_table() -> str:
    """Multiply-adds of all networks at all sizes, in markdown."""
    return markdown_table(
        [
            ["billions of multiply-adds at", *(f"{h}x{w}" for h, w in SIZES)],
            *([name, *(f"{multiply_adds(name, size):.1f}" for size in SIZES)] for name in NETWORKS),
        ]
    )


def cost(args: argparse.Namespace) -> None:
    table = cost_table()
    print(table, end="")
    if args.write:
        renew_tables(DOCS, table)


def seconds(network: nn.Module, image: Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        network(image)
    return time.perf_counter() - start


def resident(field: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at most so far."""
    return int(re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def peak_memory(name: str, size: tuple[int, int], threads: int) -> float:
    """MiB that the first image takes, beyond the network; for a process of its own on Linux."""
    torch.set_num_threads(threads)
    network = NETWORKS[name]()
    network.eval()
    image = torch.randn(1, 3, *size)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the imports
    before = resident("VmRSS")
    seconds(network, image)
    return resident("VmHWM") - before


def speed(args: argparse.Namespace) -> None:
    size = tuple(args.size)
    torch.set_num_threads(args.threads)
    names = ["sMLPNet-T", "Swin-T"]
    networks = {name: NETWORKS[name]() for name in names}
    image = torch.randn(1, 3, *size)
    for network in networks.values():
        network.eval()
        seconds(network, image)
    # Taking turns, so that whatever else the machine does hits both.
    times = {name: [] for name in names}
    for _ in range(args.rounds):
        for name, network in networks.items():
            times[name].append(seconds(network, image))
    ratios = [swin / ours for ours, swin in zip(*times.values(), strict=True)]
    print(f"one image of {size[0]}x{size[1]}, fp32, {args.threads} threads, {args.rounds} rounds")
    for name in names:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            memory = pool.submit(peak_memory, name, size, args.threads).result()
        median, fastest = statistics.median(times[name]), min(times[name])
        print(f"{name}: median {median:.2f} s, fastest {fastest:.2f} s, peak {memory:.0f} MiB")
    medians = [statistics.median(times[name]) for name in names]
    fastest = [min(times[name]) for name in names]
    print(
        f"sMLPNet-T is {medians[1] / medians[0]:.2f} times as fast (medians), "
        f"{fastest[1] / fastest[0]:.2f} (fastest), {statistics.median(ratios):.2f} (by round)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("cost", help="count multiply-adds")
    command.add_argument("--write", action="store_true", help=f"into docs/{DOCS.name}, too")
    command.set_defaults(run=cost)
    command = commands.add_parser("speed", help="time the forward pass on the CPU")
    command.add_argument("--size", type=int, nargs=2, default=(800, 1344), metavar=("H", "W"))
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--rounds", type=int, default=7)
    command.set_defaults(run=speed)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
