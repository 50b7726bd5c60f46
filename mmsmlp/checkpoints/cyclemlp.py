"""CycleMLP's authors' names (ShoufaChen/CycleMLP, ``cycle_mlp.py``) made ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmsmlp.errors import CheckpointError

from .settings import in_channels, named_arch, settings_by_stage

# Their names in a block and ours. `sfc_h`, whose kernel they call 1×3, mixes along the width.
BLOCK = {
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
# Of which setting of a stage the first dimension of a module's weight is a vote.
VOTES = {
    "cycle.row": "channels",
    "cycle.column": "channels",
    "cycle.channel": "channels",
    "cycle.proj": "channels",
    "mlp.fc1": "hidden",
}
IN_BLOCK = re.compile(r"network\.(\d+)\.(\d+)\.(.+)")
TRANSITION = re.compile(r"network\.(\d+)\.proj")
PREFIX = re.compile(r"((?:.+\.)?)network\.\d+\.\d+\.attn\.sfc_[hw]\.")
# What the offsets of their deformable convolution end in: constants, here a shift.
OFFSET = ".offset"


def is_cyclemlp(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of the authors' CycleMLP, wrapped in other modules or not."""
    return any(PREFIX.match(key) for key in weights)


def from_cyclemlp(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rename the authors' weights, give Cycle FCs the shape of linear layers, and drop offsets.

    Args:
        weights: State dict of the authors' CycleMLP, of any depths and widths.

    Returns:
        The state dict by the names of an mmpretrain classifier with our backbone, and the name in
        ``weights`` of each of its modules, by ours. A tensor of an unknown module keeps its name,
        below ``backbone.``.

    Raises:
        CheckpointError: If they are not the authors' weights.
    """
    if not is_cyclemlp(weights):
        raise CheckpointError("there are no weights of ShoufaChen/CycleMLP in it")
    prefix = next(found[1] for key in weights if (found := PREFIX.match(key)))
    below = [key.removeprefix(prefix) for key in weights]
    # Stages are 0, 2, 4, … of their network, and what is between them merges patches.
    last = max(int(found[1]) for key in below if (found := IN_BLOCK.match(key))) // 2
    converted, modules = {}, {}
    for key, value in weights.items():
        if key.endswith(OFFSET):
            continue
        module, _, parameter = key.removeprefix(prefix).rpartition(".")
        ours = _module(module, last)
        modules[ours] = prefix + module
        if ours.endswith((".row", ".column")) and value.shape[2:] == (1, 1):
            value = value.flatten(1)
        converted[f"{ours}.{parameter}"] = value
    return converted, modules


def _module(theirs: str, last: int) -> str:
    """Our name of a module, where ``last`` is the index of the last stage."""
    if theirs == "patch_embed.proj":
        return "backbone.stages.0.patch_embed"
    if theirs == "norm":
        return f"backbone.norm{last}"
    if theirs == "head":
        return "head.fc"
    if (found := TRANSITION.fullmatch(theirs)) and int(found[1]) % 2:
        return f"backbone.stages.{int(found[1]) // 2 + 1}.patch_embed"
    if (found := IN_BLOCK.fullmatch(theirs)) and int(found[1]) % 2 == 0 and found[3] in BLOCK:
        return f"backbone.stages.{int(found[1]) // 2}.blocks.{found[2]}.{BLOCK[found[3]]}"
    return f"backbone.{theirs}"


def cyclemlp_settings(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tell from the shapes which CycleMLP some weights are of.

    Args:
        weights: State dict of a classifier with our backbone.

    Returns:
        ``arch`` (by name if the paper has it) and ``in_channels``.

    Raises:
        CheckpointError: If they are not of a CycleMLP.
    """
    depths, found = settings_by_stage(weights, VOTES)
    stages = range(len(depths))
    try:
        arch = dict(
            embed_dims=tuple(found[i, "channels"] for i in stages),
            depths=tuple(depths),
            mlp_ratios=tuple(found[i, "hidden"] / found[i, "channels"] for i in stages),
        )
    except KeyError as error:
        raise CheckpointError("the shapes of its tensors are not those of a CycleMLP") from error
    return dict(arch=named_arch("mmsmlp.CycleMLP", arch), in_channels=in_channels(weights))
