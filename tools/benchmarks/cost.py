"""Multiply-adds of sMLPNet-T beside its full form, Swin-T and ResNet-50."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmsmlp.engine.runner import markdown_table
from mmsmlp.models.layers import AxialMixing, SparseMLP, resampling_matrix

from .subjects import Subject, build_network

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


def smlpnet_in_full() -> nn.Module:
    network = build_network(Subject("smlpnet_t"))
    for stage in network.stages:
        for block in stage.blocks:
            block.smlp = FullForm(block.smlp)
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "sMLPNet-T": lambda: build_network(Subject("smlpnet_t")),
    "sMLPNet-T in full form": smlpnet_in_full,
    "Swin-T": lambda: build_network(Subject("swin_t")),
    "ResNet-50": lambda: build_network(Subject("resnet50")),
}


@cache
def without_numbers(name: str) -> nn.Module:
    network = NETWORKS[name]().to("meta")
    network.eval()  # by itself: mmdet's ResNet returns None here
    return network


def multiply_adds(name: str, size: tuple[int, int]) -> float:
    """Of matrix products and convolutions, in billions, for one image."""
    image = torch.zeros(1, 3, *size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        without_numbers(name)(image)
    return counter.get_total_flops() / 2e9


def cost_table() -> str:
    """Multiply-adds of all networks at all sizes, in markdown."""
    return markdown_table(
        [
            ["billions of multiply-adds at", *(f"{h}x{w}" for h, w in SIZES)],
            *([name, *(f"{multiply_adds(name, size):.1f}" for size in SIZES)] for name in NETWORKS),
        ]
    )
