"""What ``tools/convert_checkpoint.py`` knows of the networks whose weights it publishes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmsmlp.backbones import SMLPNet
from mmsmlp.checkpoints import CheckpointError

TOLERANCE = 1e-4
IN_STAGE = re.compile(r"backbone\.stages\.(\d+)\.(?:blocks\.(\d+)\.)?([\w.]+)\.weight")
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


class Classifier(nn.Module):
    """sMLPNet, global average pooling and a linear layer, by mmpretrain's names.

    Args:
        backbone: Arguments of the sMLPNet.
        num_classes: Number of classes.
    """

    def __init__(self, backbone: Mapping[str, Any], num_classes: int) -> None:
        super().__init__()
        self.backbone = SMLPNet(**backbone, out_indices=-1)
        self.head = nn.ModuleDict({"fc": nn.Linear(self.backbone.channels[-1], num_classes)})

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, num_classes)."""
        return self.head["fc"](self.backbone(x)[-1].mean(dim=(2, 3)))


def smlpnet_settings(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tell from the shapes which sMLPNet some weights are of.

    Each setting is what most tensors say, so that one of a wrong shape does not decide.

    Args:
        weights: State dict of a classifier with our backbone.

    Returns:
        ``arch`` (by name if the paper has it), ``img_size`` and ``in_channels``.

    Raises:
        CheckpointError: If they are not of an sMLPNet.
    """
    votes: dict[tuple[int, str], Counter] = defaultdict(Counter)
    depths: Counter = Counter()
    for name, value in weights.items():
        found = IN_STAGE.fullmatch(name)
        if found and found[2] and found[3] in VOTES and value.ndim:
            stage = int(found[1])
            depths[stage] = max(depths[stage], int(found[2]) + 1)
            votes[stage, VOTES[found[3]]][value.shape[0]] += 1
    winners = {key: counter.most_common(1)[0][0] for key, counter in votes.items()}
    stages = range(len(depths))
    try:
        arch = dict(
            embed_dims=tuple(winners[i, "channels"] for i in stages),
            depths=tuple(depths[i] for i in stages),
            mlp_ratio=winners[0, "hidden"] / winners[0, "channels"],
        )
        height, width = 4 * winners[0, "height"], 4 * winners[0, "width"]
    except KeyError as error:
        raise CheckpointError("the shapes of its tensors are not those of an sMLPNet") from error
    stem = weights.get("backbone.stages.0.patch_embed.weight")
    return dict(
        arch=next((name for name in SMLPNet.variants if _is_variant(name, arch)), arch),
        img_size=height if height == width else (height, width),
        in_channels=3 if stem is None else stem.shape[1],
    )


def _is_variant(name: str, arch: Mapping[str, Any]) -> bool:
    return all(SMLPNet.variants[name][key] == value for key, value in arch.items())


def verify(network: nn.Module, reference: str) -> float:
    """Compare the logits of a network with those that another implementation gave.

    Args:
        network: The network.
        reference: An ``.npz`` file of ``input`` (N, C, H, W) and ``logits`` (N, classes).

    Returns:
        The largest absolute difference.

    Raises:
        CheckpointError: If it is above 1e-4, or the file holds no such arrays.
    """
    try:
        with np.load(reference) as data:
            x, logits = torch.from_numpy(data["input"]), torch.from_numpy(data["logits"])
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{reference!r} has no arrays 'input' and 'logits' to verify against: {error}"
        ) from error
    with torch.inference_mode():
        given = network.eval()(x)
    if given.shape != logits.shape:
        raise CheckpointError(
            f"the logits of {reference!r} are {tuple(logits.shape)}, the network's "
            f"{tuple(given.shape)}"
        )
    difference = (given - logits).abs().max().item()
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"the logits differ from those of {reference!r} by up to {difference:.2g}, more than "
            f"{TOLERANCE:g}"
        )
    return difference


def published_name(source: str, meta: Mapping[str, Any]) -> str:
    """OpenMMLab's name for the weights of a training run of ours: that of its config.

    Args:
        source: Where the checkpoint was read from.
        meta: What the runner says of it.

    Returns:
        The name up to the date.
    """
    experiment = str(meta.get("experiment_name") or Path(source).stem)
    return re.sub(r"_\d{8}_\d{6}$", "", experiment)
