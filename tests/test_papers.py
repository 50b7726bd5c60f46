"""Parameters and FLOPs of every row of the four papers, as 1000-class classifiers.

FLOPs are multiply-adds of the matrix products and convolutions at 224×224, as the papers count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmsmlp.model_zoo.cost import paper_cost
from mmsmlp.models.backbones import S2MLP, CycleMLP, S2MLPv2, SMLPNet
from mmsmlp.models.backbones.pyramid import PyramidBackbone
from mmsmlp.models.layers import IDENTITY_SHIFT, SS1, SS2, ChannelMLP
from mmsmlp.models.layers.shift import DOWN, LEFT, RIGHT, UP


@dataclass
class Row:
    """A row of a table: how to build it, what is printed and, where that does not follow, why."""

    name: str
    network: type[PyramidBackbone]
    arguments: dict[str, Any]
    params: str | None
    flops: str | None
    # What we count instead, and the reason; "" keeps the printed figure.
    our_params: str = ""
    our_flops: str = ""
    why: str = ""
    size: int = 224
    num_classes: int = 1000
    changes: list = field(default_factory=list)


T_STAR = dict(embed_dims=(80, 160, 320, 640), depths=(2, 8, 14, 2), mlp_ratio=2)
T_LOCAL = dict(T_STAR, embed_dims=(112, 224, 448, 896))
WIDE = S2MLP.variants["wide"]
NOT_PRINTED = "the paper's table has the accuracy only"
DIAGONALS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def second_dwconv(network: SMLPNet, stage: int) -> None:
    """Put another norm, GELU and depthwise convolution where a stage had its sMLP."""
    for block in network.stages[stage].blocks:
        channels = block.dwconv.in_channels
        block.norm2 = nn.BatchNorm2d(channels)
        block.smlp = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)


class TokenMLP(ChannelMLP):
    """The MLP of MLP-Mixer over all N tokens of a map, with N in the hidden layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(2)).view_as(x)


def token_mlp(network: SMLPNet, stage: int) -> None:
    for block in network.stages[stage].blocks:
        block.smlp = TokenMLP((56 >> stage) ** 2, mlp_ratio=1)


def without_smlp(stages: int) -> dict[str, Any]:
    return dict(arch="base", global_stages=range(stages, 4))


SMLPNET = [
    Row("T", SMLPNet, dict(arch="tiny"), "24.1", "5.0"),
    Row("S", SMLPNet, dict(arch="small"), "48.6", "10.3"),
    Row("B", SMLPNet, dict(arch="base"), "65.9", "14.0"),
    Row(
        "T*", SMLPNet, dict(arch=T_STAR), "19.2", "4.0", our_flops="3.9",
        why="products alone are 3.946; with one multiply-add per value of the batch norms, 3.951",
    ),
    Row("T*, global only", SMLPNet, dict(arch=T_STAR, local_stages=()), "19.1", "3.9"),
    Row("T*, local only", SMLPNet, dict(arch=T_LOCAL, global_stages=()), "22.5", "4.4"),
    Row("B, no sMLP in stage 1", SMLPNet, without_smlp(1), "65.8", "13.7"),
    Row("B, no sMLP in stages 1-2", SMLPNet, without_smlp(2), "64.3", "12.4"),
    Row(
        "B, no sMLP in stages 1-3", SMLPNet, without_smlp(3), "49.9", "9.5", our_params="49.8",
        why="follows with a second depthwise convolution in sMLP's place, see below",
    ),
    Row(
        "B, no sMLP", SMLPNet, without_smlp(4), "45.1", "9.3", our_params="45.0",
        why="follows with a second depthwise convolution in sMLP's place, see below",
    ),
    *(
        Row(
            f"B, DWConv for sMLP in {n} stages", SMLPNet, dict(arch="base"), params, flops,
            changes=[(second_dwconv, stage) for stage in range(n)],
        )
        for n, params, flops in [
            (1, "65.8", "13.7"), (2, "64.3", "12.4"), (3, "49.9", "9.5"), (4, "45.1", "9.3")
        ]
    ),
    Row("S, sum", SMLPNet, dict(arch="small", smlp_cfg=dict(fusion="sum")), "33.2", "7.0"),
    Row(
        "S, weighted sum", SMLPNet, dict(arch="small", smlp_cfg=dict(fusion="weighted_sum")),
        "33.3", "7.0",
    ),
    Row(
        "T*, parallel without identity", SMLPNet,
        dict(arch=T_STAR, smlp_cfg=dict(identity=False)), None, None, "16.7", "3.4", NOT_PRINTED,
    ),
    Row(
        "T*, sequential with identity", SMLPNet,
        dict(arch=T_STAR, smlp_cfg=dict(sequential=True)), None, None, "16.7", "3.4", NOT_PRINTED,
    ),
    Row(
        "T*, sequential without identity", SMLPNet,
        dict(arch=T_STAR, smlp_cfg=dict(sequential=True, identity=False)),
        None, None, "14.2", "2.9", NOT_PRINTED,
    ),
    # Fixed in size and therefore built here only. The single-stage MLP (30.4M, 6.5B) is left out:
    # its width and depth are not given.
    Row(
        "multi-stage MLP", SMLPNet, dict(arch=T_STAR), "22.7", "4.2",
        changes=[(second_dwconv, 0), (token_mlp, 1), (token_mlp, 2), (token_mlp, 3)],
    ),
]  # fmt: skip
S2MLP_ROWS = [
    Row("wide", S2MLP, dict(arch="wide"), "71", "14", num_classes=0),
    Row(
        "deep", S2MLP, dict(arch="deep"), "51", "10.5", our_params="54", num_classes=0,
        why="the paper's own formula, c²(2r + 2) + c(3 + r) a block, gives 53 without the stem",
    ),
    *(
        Row(
            f"shift ({name})", S2MLP, dict(arch="wide", directions=directions),
            None, None, "71", "14", NOT_PRINTED, num_classes=0,
        )
        for name, directions in {
            "a": SS1, "b": (*SS1, *DIAGONALS), "c": (RIGHT, DOWN), "d": (LEFT, UP),
            "e": (RIGHT, LEFT), "f": (DOWN, UP), "g": (RIGHT,), "h": (LEFT,), "i": (DOWN,),
            "j": (UP,), "none": IDENTITY_SHIFT,
        }.items()
    ),
    *(
        Row(
            f"input {size}", S2MLP, dict(arch="wide"), None, None, "71", flops, NOT_PRINTED,
            size=size, num_classes=0,
        )
        for size, flops in [(112, "3.5"), (224, "14.0"), (384, "41.1")]
    ),
    Row(
        "patch 32", S2MLP, dict(arch=dict(WIDE, patch_size=32)), None, None, "73", "3.6",
        NOT_PRINTED, num_classes=0,
    ),
]  # fmt: skip
S2MLPV2_ROWS = [
    Row("Small/7", S2MLPv2, dict(arch="small/7"), "25", "6.9"),
    Row("Medium/7", S2MLPv2, dict(arch="medium/7"), "55", "16.3"),
    Row(
        "Small/14", S2MLPv2, dict(arch="small/14"), "30", "5.7", our_flops="6.9",
        why="18 blocks of 10·384² for 256 tokens are 6.8 already",
    ),
    Row(
        "Small/7, mean", S2MLPv2, dict(arch="small/7", fusion="mean"), "22", "6.9",
        our_params="22.9", why="the paper rounds down",
    ),
    Row(
        "Small/7, no second map", S2MLPv2, dict(arch="small/7", shifts=(SS1, IDENTITY_SHIFT)),
        "22", "6.2",
    ),
    Row("Small/7, no third map", S2MLPv2, dict(arch="small/7", shifts=(SS1, SS2)), "22", "6.2"),
    *(
        Row(arch, S2MLPv2, dict(arch=arch), None, None, params, flops, "left to future work")
        for arch, params, flops in [("small/4", "25.7", "3.8"), ("medium/4", "49.5", "8.8")]
    ),
]  # fmt: skip

CYCLEMLP_ROWS = [
    Row("B1", CycleMLP, dict(arch="b1"), "15", "2.1"),
    Row("B2", CycleMLP, dict(arch="b2"), "27", "3.9"),
    Row(
        "B3", CycleMLP, dict(arch="b3"), "38", "6.9", our_flops="6.8",
        why="products alone are 6.844",
    ),
    Row(
        "B4", CycleMLP, dict(arch="b4"), "52", "10.1", our_flops="10.0",
        why="products alone are 10.046",
    ),
    Row("B5", CycleMLP, dict(arch="b5"), "76", "12.3"),
    # Of the authors' implementation, without its constant offsets.
    *(
        Row(f"{arch}, to three decimals", CycleMLP, dict(arch=arch), params, flops)
        for arch, params, flops in [
            ("b1", "15.155", "2"), ("b2", "26.803", "4"), ("b3", "38.386", "7")
        ]
    ),
]  # fmt: skip


def count(row: Row) -> tuple[float, float]:
    """Millions of parameters and billions of multiply-adds."""
    with torch.device("meta"):
        backbone = row.network(**row.arguments, out_indices=-1)
        for change, stage in row.changes:
            change(backbone, stage)
        classifier = nn.Identity()
        if row.num_classes:
            pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            classifier = nn.Sequential(*pool, nn.Linear(backbone.channels[0], row.num_classes))
        image = torch.zeros(1, 3, row.size, row.size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        classifier(backbone(image)[0])
    modules = nn.ModuleList([backbone, classifier])
    parameters = sum(parameter.numel() for parameter in modules.parameters())
    return parameters / 1e6, counter.get_total_flops() / 2e9


def rounded_as(value: float, text: str) -> str:
    """The value with as many decimals as the text has."""
    return f"{value:.{len(text.partition('.')[2])}f}"


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=f"{row.network.__name__}-{row.name}")
        for row in [*SMLPNET, *S2MLP_ROWS, *S2MLPV2_ROWS, *CYCLEMLP_ROWS]
    ],
)
def test_parameters_and_flops(row: Row) -> None:
    params, flops = count(row)
    for value, printed, ours in [
        (params, row.params, row.our_params),
        (flops, row.flops, row.our_flops),
    ]:
        assert rounded_as(value, ours or printed) == (ours or printed), value
        if ours and printed:
            assert rounded_as(value, printed) != printed, "the printed figure follows after all"
        assert row.why or not ours


@pytest.mark.parametrize(
    "change",
    [dict(depth=depth) for depth in (1, 3, 6, 12, 16)]
    + [dict(embed_dims=channels) for channels in (192, 384, 576, 768, 960)]
    + [dict(mlp_ratio=ratio) for ratio in (1, 2, 3, 4, 5)],
    ids=str,
)
def test_s2mlp_follows_the_formula_of_its_paper(change: dict[str, int]) -> None:
    """Over depth, width and expansion; the formula leaves the two layer norms of a block out."""
    arch = dict(WIDE, **change)
    with torch.device("meta"):
        network = S2MLP(arch)
    c, r = arch["embed_dims"], arch["mlp_ratio"]
    block = c**2 * (2 * r + 2) + c * (3 + r)
    assert sum(p.numel() for p in network.stages[-1].blocks.parameters()) == block + 4 * c
    assert len(network.stages) == arch["depth"]


@pytest.mark.parametrize(
    ("network", "arch"), [(SMLPNet, "tiny"), (S2MLPv2, "small/14"), (S2MLP, "wide")]
)
def test_tools_list_the_cost_that_is_compared_with_the_papers(network: type, arch: str) -> None:
    classes = 0 if network is S2MLP else 1000
    row = Row("", network, dict(arch=arch), None, None, num_classes=classes)
    assert paper_cost(dict(type=f"mmsmlp.{network.__name__}", arch=arch)) == count(row)
