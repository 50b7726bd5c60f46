"""Which network some weights are of, by their shapes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmsmlp.registry import MODELS

IN_BLOCK = re.compile(r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.([\w.]+)\.weight")


def settings_by_stage(
    weights: Mapping[str, Tensor], votes: Mapping[str, str]
) -> tuple[list[int], dict[tuple[int, str], int]]:
    """Tell settings of each stage from the first dimension of weights.

    Each is what most tensors say, so that one of a wrong shape does not decide.

    Args:
        weights: State dict of a classifier with a backbone of ours.
        votes: The setting that a module's weight is a vote of, by the module's name in its block.

    Returns:
        Blocks of each stage, and the settings by stage and name.
    """
    counters: dict[tuple[int, str], Counter] = defaultdict(Counter)
    depths: Counter = Counter()
    for key, value in weights.items():
        found = IN_BLOCK.fullmatch(key)
        if found and found[3] in votes and value.ndim:
            stage = int(found[1])
            depths[stage] = max(depths[stage], int(found[2]) + 1)
            counters[stage, votes[found[3]]][value.shape[0]] += 1
    winners = {key: counter.most_common(1)[0][0] for key, counter in counters.items()}
    return [depths[i] for i in range(len(depths))], winners


def named_arch(network: str, arch: Mapping[str, Any]) -> str | dict[str, Any]:
    """The name of an architecture if it has one, or else the architecture.

    Args:
        network: Type of the backbone.
        arch: Its settings.
    """
    for name, variant in MODELS.get(network).variants.items():
        if all(variant[key] == value for key, value in arch.items()):
            return name
    return dict(arch)


def in_channels(weights: Mapping[str, Tensor]) -> int:
    """Channels of the image; three if the stem is not there."""
    stem = weights.get("backbone.stages.0.patch_embed.weight")
    return stem.shape[1] if stem is not None and stem.ndim == 4 else 3
