"""sMLPNet's authors' names and shapes (microsoft/SPACH, ``models/smlp.py``) made ours."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from torch import Tensor

from mmsmlp.errors import CheckpointError

from .settings import in_channels, named_arch, settings_by_stage

# The modules of block b, theirs and ours. `proj_h` mixes along the width and `proh_w`, so spelt,
# along the height.
BLOCK = {
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
# Of which setting of a stage the first dimension of a module's weight is a vote.
VOTES = {
    "dwconv": "channels",
    "norm1": "channels",
    "norm2": "channels",
    "norm3": "channels",
    "mlp.fc1": "hidden",
    "mlp.fc2": "channels",
    "smlp.column": "height",
    "smlp.row": "width",
}
AXIAL = ("smlp.row", "smlp.column")
CHANNELS_NOT_FIRST = (*AXIAL, "mlp.fc1")
IN_BLOCK = re.compile(r"(token_mix|channel_mix)\.(\d+)\.(.+)")
PREFIX = re.compile(r"((?:.+\.)?)(?:token_mix|channel_mix)\.\d+\.")


def is_spach(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are weights of the authors' sMLPNet, wrapped in other modules or not."""
    return any(PREFIX.match(key) for key in weights)


def from_spach(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rename the authors' weights, and give axial maps the shape of linear ones.

    Args:
        weights: State dict of the authors' sMLPNet, of any depths and widths.

    Returns:
        The state dict by the names of an mmpretrain classifier with our backbone, and the name in
        ``weights`` of each of its modules, by ours. A tensor of an unknown module keeps its name,
        below ``backbone.``.

    Raises:
        CheckpointError: If they are not the authors' weights.
    """
    if not is_spach(weights):
        raise CheckpointError("there are no weights of microsoft/SPACH's sMLPNet in it")
    prefix = next(found[1] for key in weights if (found := PREFIX.match(key)))
    modules = _modules(_depths({key.removeprefix(prefix): v for key, v in weights.items()}))
    converted = {}
    for key, value in weights.items():
        module, _, parameter = key.removeprefix(prefix).rpartition(".")
        name = f"{modules.get(module, f'backbone.{module}')}.{parameter}"
        if name.endswith(tuple(f".{axial}.weight" for axial in AXIAL)) and value.ndim == 4:
            value = value.flatten(1) if value.shape[2:] == (1, 1) else value
        converted[name] = value
    return converted, {ours: prefix + theirs for theirs, ours in modules.items()}


def _modules(depths: list[int]) -> dict[str, str]:
    """Our name of each of their modules; they number the blocks through all stages."""
    modules = {"batch_norm": f"backbone.norm{len(depths) - 1}", "mlp_head.0": "head.fc"}
    first = 0
    for stage, depth in enumerate(depths):
        modules[f"to_patch_embedding.{stage}.0"] = f"backbone.stages.{stage}.patch_embed"
        for block in range(depth):
            for theirs, ours in BLOCK.items():
                name = f"backbone.stages.{stage}.blocks.{block}.{ours}"
                modules[theirs.format(b=first + block)] = name
        first += depth
    return modules


def _depths(weights: Mapping[str, Tensor]) -> list[int]:
    """Blocks of each stage: it ends where the channels change, by a vote of each block's tensors.

    A tensor that is missing or has a wrong shape is thus found out later, by its own name.
    """
    votes = defaultdict(Counter)
    for key, value in weights.items():
        if found := IN_BLOCK.match(key):
            part, block, rest = found.groups()
            ours = BLOCK.get(f"{part}.{{b}}.{rest.rpartition('.')[0]}")
            if ours and ours not in CHANNELS_NOT_FIRST and value.ndim:
                votes[int(block)][value.shape[0]] += 1
    channels = []
    for block in range(max(votes, default=-1) + 1):
        (winner, _), *_ = votes[block].most_common(1) or [(channels[-1] if channels else 0, 0)]
        channels.append(winner)
    return [len(list(stage)) for _, stage in groupby(channels)]


def smlpnet_settings(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tell from the shapes which sMLPNet some weights are of.

    Args:
        weights: State dict of a classifier with our backbone.

    Returns:
        ``arch`` (by name if the paper has it), ``img_size`` and ``in_channels``.

    Raises:
        CheckpointError: If they are not of an sMLPNet.
    """
    depths, found = settings_by_stage(weights, VOTES)
    try:
        arch = dict(
            embed_dims=tuple(found[i, "channels"] for i in range(len(depths))),
            depths=tuple(depths),
            mlp_ratio=found[0, "hidden"] / found[0, "channels"],
        )
        height, width = 4 * found[0, "height"], 4 * found[0, "width"]
    except KeyError as error:
        raise CheckpointError("the shapes of its tensors are not those of an sMLPNet") from error
    return dict(
        arch=named_arch("mmsmlp.SMLPNet", arch),
        img_size=height if height == width else (height, width),
        in_channels=in_channels(weights),
    )
