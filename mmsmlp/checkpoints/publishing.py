"""Making checkpoints to publish: of sMLPNet's authors, and of training runs of ours."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmsmlp.errors import CheckpointError
from mmsmlp.registry import MODELS

from .matching import few, match
from .spach import from_spach, is_spach

# By name, for backbones load their weights with what is in this package.
SMLPNET = "mmsmlp.SMLPNet"
TOLERANCE = 1e-4
IN_BLOCK = re.compile(r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.([\w.]+)\.weight")
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


@dataclass
class Conversion:
    """Weights by the names of an OpenMMLab model, and what became of those of the source.

    Attributes:
        name: OpenMMLab's name of the weights, up to the date.
        weights: State dict.
        meta: What else is known.
        renamed: Whether they had other names.
        left_over: Names in the source of what has no place.
        missing: Names that the source should have.
    """

    name: str
    weights: dict[str, Tensor]
    meta: dict[str, Any]
    renamed: bool = False
    left_over: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def convert(
    weights: Mapping[str, Tensor], name: str, meta: Mapping[str, Any], backbone_only: bool = False
) -> Conversion:
    """Make weights to publish from those of sMLPNet's authors, or of a model of ours.

    Args:
        weights: State dict.
        name: What to call the latter.
        meta: What is known of the latter.
        backbone_only: Whether all but the backbone may be missing, and is left out.

    Returns:
        The conversion; ``left_over`` and ``missing`` are known of the former only.

    Raises:
        CheckpointError: If they are neither, or a tensor has not the shape that the others call
            for.
    """
    if is_spach(weights):
        conversion = _convert_spach(weights)
    elif any(key.startswith("backbone.stages.0.blocks.0.") for key in weights):
        conversion = Conversion(name, dict(weights), dict(meta))
    else:
        raise CheckpointError(
            "it is neither of microsoft/SPACH's sMLPNet nor of a model with a backbone of ours; it "
            f"has {few(weights)}"
        )
    if backbone_only:
        conversion.name += "_headless"
        conversion.weights = {
            key: value for key, value in conversion.weights.items() if key.startswith("backbone.")
        }
        conversion.missing = [key for key in conversion.missing if "mlp_head" not in key]
    return conversion


def _convert_spach(weights: Mapping[str, Tensor]) -> Conversion:
    weights, modules = from_spach(weights)
    settings = smlpnet_settings(weights)
    num_classes = _num_classes(weights) or 1000
    with torch.device("meta"):
        network = Classifier(settings, num_classes)
    matched = match(network, weights)

    def theirs(name: str) -> str:
        module, _, parameter = name.rpartition(".")
        return f"{modules[module]}.{parameter}" if module in modules else name[len("backbone.") :]

    if wrong := {**matched.mismatched, **matched.resized}:
        shapes = [f"{theirs(name)} is {is_}, not {must}" for name, (is_, must) in wrong.items()]
        raise CheckpointError(f"{len(wrong)} of a wrong shape: {few(shapes)}")
    variant = settings["arch"] if isinstance(settings["arch"], str) else "custom"
    return Conversion(
        f"smlpnet-{variant}_3rdparty" + ("_in1k" if num_classes == 1000 else ""),
        matched.tensors,
        dict(backbone=dict(type=SMLPNET, **settings, out_indices=-1)),
        renamed=True,
        left_over=[theirs(name) for name in matched.unexpected],
        missing=[theirs(name) for name in matched.missing],
    )


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
    for key, value in weights.items():
        found = IN_BLOCK.fullmatch(key)
        if found and found[3] in VOTES and value.ndim:
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
        arch=next((name for name, variant in _variants() if _agrees(arch, variant)), arch),
        img_size=height if height == width else (height, width),
        in_channels=stem.shape[1] if stem is not None and stem.ndim == 4 else 3,
    )


def _variants() -> Iterable[tuple[str, Mapping[str, Any]]]:
    return MODELS.get(SMLPNET).variants.items()


def _agrees(arch: Mapping[str, Any], variant: Mapping[str, Any]) -> bool:
    return all(variant[key] == value for key, value in arch.items())


def _num_classes(weights: Mapping[str, Tensor]) -> int | None:
    head = weights.get("head.fc.bias", weights.get("head.fc.weight"))
    return len(head) if head is not None and head.ndim else None


class Classifier(nn.Module):
    """sMLPNet, global average pooling and a linear layer, by mmpretrain's names.

    Args:
        backbone: Arguments of the sMLPNet.
        num_classes: Number of classes.
    """

    def __init__(self, backbone: Mapping[str, Any], num_classes: int) -> None:
        super().__init__()
        self.backbone = MODELS.build(dict(type=SMLPNET, **backbone, out_indices=-1))
        self.head = nn.ModuleDict({"fc": nn.Linear(self.backbone.channels[-1], num_classes)})

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, num_classes)."""
        return self.head["fc"](self.backbone(x)[-1].mean(dim=(2, 3)))


def verify(weights: Mapping[str, Tensor], reference: str) -> float:
    """Compare an sMLPNet's logits with those that another implementation gave.

    Args:
        weights: State dict of a classifier with our backbone.
        reference: An ``.npz`` file of ``input`` (N, C, H, W) and ``logits`` (N, classes).

    Returns:
        The largest absolute difference.

    Raises:
        CheckpointError: If it is above 1e-4, the file holds no such arrays, or the weights are
            not those of a whole sMLPNet with its head.
    """
    try:
        with np.load(reference) as data:
            x, logits = torch.from_numpy(data["input"]), torch.from_numpy(data["logits"])
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{reference!r} has no arrays 'input' and 'logits' to compare with: {error}"
        ) from error
    network = Classifier(smlpnet_settings(weights), _num_classes(weights) or logits.shape[1])
    matched = match(network, weights)
    if lacking := [*matched.missing, *matched.mismatched]:
        raise CheckpointError(f"comparing logits takes a whole classifier; it lacks {few(lacking)}")
    network.load_state_dict(matched.tensors, strict=False)
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


def name_of_run(source: str, meta: Mapping[str, Any]) -> str:
    """OpenMMLab's name for the weights of a training run: that of its config.

    Args:
        source: Where the checkpoint was read from.
        meta: What the runner says in it.

    Returns:
        The name, up to the date.
    """
    experiment = str(meta.get("experiment_name") or Path(source).stem)
    return re.sub(r"_\d{8}_\d{6}$", "", experiment)
