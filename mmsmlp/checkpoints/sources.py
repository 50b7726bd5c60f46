"""Checkpoints of the networks' authors: their names and shapes made ours."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from statistics import mode
from typing import Any

from torch import Tensor

from mmsmlp.errors import CheckpointError
from mmsmlp.registry import MODELS

Weights = Mapping[str, Tensor]

# SPACH numbers the blocks through all stages. `proj_h` mixes along the width and `proh_w`, so
# spelt, along the height.
SPACH_BLOCK = {
    "token_mix.{b}.0.conv_merge.BN": "norm1",
    "token_mix.{b}.0.conv_merge.Conv": "dwconv",
    "token_mix.{b}.1.BN": "norm2",
    "token_mix.{b}.1.proj_h": "smlp.row",
    "token_mix.{b}.1.proh_w": "smlp.column",
    "token_mix.{b}.1.fuse": "smlp.fuse",
    "channel_mix.{b}.1": "norm3",
    "channel_mix.{b}.2.net.0": "mlp.fc1",
    "channel_mix.{b}.2.net.3": "mlp.fc2",
}
# `sfc_h`, whose kernel they call 1×3, mixes along the width.
CYCLEMLP_BLOCK = {
    "norm1": "norm1",
    "attn.sfc_h": "cycle.row",
    "attn.sfc_w": "cycle.column",
    "attn.mlp_c": "cycle.channel",
    "attn.reweight.fc1": "cycle.reweight.0",
    "attn.reweight.fc2": "cycle.reweight.2",
    "attn.proj": "cycle.proj",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
IN_STAGE = re.compile(r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.([\w.]+)\.\w+")
# Offsets of CycleMLP's deformable convolution are constants, here a shift.
OFFSET = ".offset"


@dataclass(frozen=True)
class Source:
    """The layout of somebody's checkpoints.

    Attributes:
        repository: On GitHub.
        network: Type of the backbone.
        in_block: Matches names in a block; the first group is the prefix of a wrapper.
        modules: Our name of each of their modules, from a state dict without a wrapper.
        settings: Of the backbone, from the shapes of a converted state dict.
    """

    repository: str
    network: str
    in_block: re.Pattern[str]
    modules: Callable[[Weights], dict[str, str]]
    settings: Callable[[Weights], dict[str, Any]]

    def convert(self, weights: Weights) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Rename weights, give maps along an axis the shape of linear ones, and drop offsets.

        Args:
            weights: State dict of the authors' network, of any depths and widths.

        Returns:
            The state dict by the names of an mmpretrain classifier with our backbone, and the name
            in ``weights`` of each of its modules, by ours. A tensor of an unknown module keeps its
            name, below ``backbone.``.
        """
        prefix = next(found[1] for key in weights if (found := self.in_block.match(key)))
        below = {key.removeprefix(prefix): value for key, value in weights.items()}
        modules = self.modules(below)
        converted = {}
        for key, value in below.items():
            if key.endswith(OFFSET):
                continue
            module, _, parameter = key.rpartition(".")
            ours = modules.setdefault(module, f"backbone.{module}")
            if ours.endswith((".row", ".column")) and value.shape[2:] == (1, 1):
                value = value.flatten(1)
            converted[f"{ours}.{parameter}"] = value
        return converted, {ours: prefix + theirs for theirs, ours in modules.items()}

    def backbone(self, weights: Weights) -> dict[str, Any]:
        """Config of the backbone of converted weights, from their shapes.

        Raises:
            CheckpointError: If they are of no such network.
        """
        try:
            return dict(type=self.network, **self.settings(weights))
        except (ArithmeticError, IndexError, ValueError) as error:  # modules are in no stage
            name = self.network.removeprefix("mmsmlp.")
            raise CheckpointError(f"the shapes of its tensors are not those of {name}") from error


def _spach_modules(weights: Weights) -> dict[str, str]:
    depths = _spach_depths(weights)
    modules = {"batch_norm": f"backbone.norm{len(depths) - 1}", "mlp_head.0": "head.fc"}
    first = 0
    for stage, depth in enumerate(depths):
        modules[f"to_patch_embedding.{stage}.0"] = f"backbone.stages.{stage}.patch_embed"
        for block in range(depth):
            for theirs, ours in SPACH_BLOCK.items():
                name = f"backbone.stages.{stage}.blocks.{block}.{ours}"
                modules[theirs.format(b=first + block)] = name
        first += depth
    return modules


def _spach_depths(weights: Weights) -> list[int]:
    """Blocks of each stage: it ends where the channels change.

    These are the first dimension of most tensors of a block; one that is missing or has a wrong
    shape is thus found out later, by its own name.
    """
    sizes = defaultdict(list)
    for key, value in weights.items():
        if (found := re.match(r"\w+_mix\.(\d+)\.", key)) and value.ndim:
            sizes[int(found[1])].append(len(value))
    channels: list[int] = []
    for block in range(max(sizes, default=-1) + 1):
        channels.append(mode(sizes[block] or channels[-1:] or [0]))
    return [len(list(stage)) for _, stage in groupby(channels)]


def _cyclemlp_modules(weights: Weights) -> dict[str, str]:
    """Their stages are 0, 2, 4, … of the network, and the others merge patches."""
    modules = {"patch_embed.proj": "backbone.stages.0.patch_embed", "head": "head.fc"}
    last = 0
    for module in {key.rpartition(".")[0] for key in weights}:
        if found := re.fullmatch(r"network\.(\d*[13579])\.proj", module):
            modules[module] = f"backbone.stages.{int(found[1]) // 2 + 1}.patch_embed"
        elif found := re.fullmatch(r"network\.(\d*[02468])\.(\d+)\.(.+)", module):
            stage = int(found[1]) // 2
            last = max(last, stage)
            if found[3] in CYCLEMLP_BLOCK:
                name = f"backbone.stages.{stage}.blocks.{found[2]}.{CYCLEMLP_BLOCK[found[3]]}"
                modules[module] = name
    return {**modules, "norm": f"backbone.norm{last}"}


def _sizes(weights: Weights, modules: str = "") -> list[int]:
    """The most frequent first dimension in the blocks of each stage.

    Args:
        weights: By our names.
        modules: How the names of those modules begin that count.
    """
    sizes = defaultdict(list)
    for key, value in weights.items():
        if (found := IN_STAGE.fullmatch(key)) and found[3].startswith(modules) and value.ndim:
            sizes[int(found[1])].append(len(value))
    return [mode(sizes[stage]) for stage in sorted(sizes)]


def _arch(network: str, weights: Weights, **ratios: Any) -> str | dict[str, Any]:
    """The name of an architecture if it has one, or else the architecture."""
    depths: dict[int, int] = defaultdict(int)
    for key in weights:
        if found := IN_STAGE.fullmatch(key):
            depths[int(found[1])] = max(depths[int(found[1])], int(found[2]) + 1)
    arch = dict(
        embed_dims=tuple(_sizes(weights)),
        depths=tuple(depths[stage] for stage in sorted(depths)),
        **ratios,
    )
    for name, variant in MODELS.get(network).variants.items():
        if all(variant[key] == value for key, value in arch.items()):
            return name
    return arch


def _in_channels(weights: Weights) -> int:
    """Channels of the image; three if there is no stem."""
    stem = weights.get("backbone.stages.0.patch_embed.weight")
    return stem.shape[1] if stem is not None and stem.ndim == 4 else 3


def _smlpnet_settings(weights: Weights) -> dict[str, Any]:
    height, width = 4 * _sizes(weights, "smlp.column")[0], 4 * _sizes(weights, "smlp.row")[0]
    ratio = _sizes(weights, "mlp.fc1")[0] / _sizes(weights)[0]
    return dict(
        arch=_arch("mmsmlp.SMLPNet", weights, mlp_ratio=ratio),
        img_size=height if height == width else (height, width),
        in_channels=_in_channels(weights),
    )


def _cyclemlp_settings(weights: Weights) -> dict[str, Any]:
    hidden = zip(_sizes(weights, "mlp.fc1"), _sizes(weights, "cycle."), strict=True)
    ratios = tuple(size / channels for size, channels in hidden)
    return dict(
        arch=_arch("mmsmlp.CycleMLP", weights, mlp_ratios=ratios),
        in_channels=_in_channels(weights),
    )


SPACH = Source(
    "microsoft/SPACH",
    "mmsmlp.SMLPNet",
    re.compile(r"((?:.+\.)?)(?:token_mix|channel_mix)\.\d+\."),
    _spach_modules,
    _smlpnet_settings,
)
CYCLEMLP = Source(
    "ShoufaChen/CycleMLP",
    "mmsmlp.CycleMLP",
    re.compile(r"((?:.+\.)?)network\.\d+\.\d+\.attn\.sfc_[hw]\."),
    _cyclemlp_modules,
    _cyclemlp_settings,
)
SOURCES = (SPACH, CYCLEMLP)


def source_of(weights: Weights) -> Source | None:
    """Whose layout a state dict has; None if it is nobody's of ``SOURCES``."""
    return next((source for source in SOURCES if any(map(source.in_block.match, weights))), None)


def backbone_of(weights: Weights) -> dict[str, Any]:
    """Config of the backbone that converted weights are of.

    Raises:
        CheckpointError: If they are of none of ``SOURCES``.
    """
    for source in SOURCES:
        with suppress(CheckpointError):
            return source.backbone(weights)
    names = " or ".join(source.network.removeprefix("mmsmlp.") for source in SOURCES)
    raise CheckpointError(f"the shapes of its tensors are not those of {names}")


def converted(weights: Weights) -> Weights:
    """A state dict by our names, whether it has them or those of the authors of a network."""
    source = source_of(weights)
    return weights if source is None else source.convert(weights)[0]
