"""Making checkpoints to publish: from the authors' files, and from our training runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmsmlp.errors import CheckpointError, shorten
from mmsmlp.registry import MODELS

from .load import load_tensors
from .sources import SOURCES, Source, backbone_of, source_of

TOLERANCE = 1e-4


@dataclass
class Conversion:
    """Weights by the names of an OpenMMLab model, and a report on the conversion.

    Attributes:
        name: OpenMMLab's name of the weights, up to the date.
        weights: State dict.
        meta: Other information.
        renamed: Whether they had other names.
        left_over: Names in the source that are not used.
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
    """Make weights to publish from a file of the authors, or from a model of this package.

    Args:
        weights: State dict.
        name: Name of the latter.
        meta: Information on the latter.
        backbone_only: Whether only the backbone is needed and written.

    Returns:
        The conversion; ``left_over`` and ``missing`` are known of the former only.

    Raises:
        CheckpointError: If they are neither, or a tensor has not the shape that the others call
            for.
    """
    if source := source_of(weights):
        conversion = _convert_authors(weights, source)
    elif any(key.startswith("backbone.stages.0.blocks.0.") for key in weights):
        conversion = Conversion(name, dict(weights), dict(meta))
    else:
        raise CheckpointError(
            f"it is neither of {' nor of '.join(source.repository for source in SOURCES)} nor of a "
            f"model with one of our backbones; it has {shorten(weights)}"
        )
    if backbone_only:
        conversion.name += "_headless"
        conversion.weights = {
            key: value for key, value in conversion.weights.items() if key.startswith("backbone.")
        }
        conversion.missing = [key for key in conversion.missing if "mlp_head" not in key]
    return conversion


def _convert_authors(weights: Mapping[str, Tensor], source: Source) -> Conversion:
    weights, modules = source.convert(weights)
    backbone = source.backbone(weights)
    num_classes = _num_classes(weights) or 1000
    with torch.device("meta"):
        network = Classifier(backbone, num_classes)
    loading = load_tensors(network, {name: x.to("meta") for name, x in weights.items()})

    def theirs(name: str) -> str:
        module, _, parameter = name.rpartition(".")
        return f"{modules[module]}.{parameter}" if module in modules else name[len("backbone.") :]

    if wrong := {**loading.mismatched, **loading.resized}:
        shapes = [f"{theirs(name)} is {is_}, not {must}" for name, (is_, must) in wrong.items()]
        raise CheckpointError(f"{len(wrong)} of a wrong shape: {shorten(shapes)}")
    variant = backbone["arch"] if isinstance(backbone["arch"], str) else "custom"
    family = source.network.removeprefix("mmsmlp.").lower()
    return Conversion(
        f"{family}-{variant}_3rdparty" + ("_in1k" if num_classes == 1000 else ""),
        {name: weights[name] for name in loading.loaded},
        dict(backbone=dict(backbone, out_indices=-1)),
        renamed=True,
        left_over=[theirs(name) for name in loading.unexpected],
        missing=[theirs(name) for name in loading.missing],
    )


def _num_classes(weights: Mapping[str, Tensor]) -> int | None:
    head = weights.get("head.fc.bias", weights.get("head.fc.weight"))
    return len(head) if head is not None and head.ndim else None


class Classifier(nn.Module):
    """A backbone, global average pooling and a linear layer, by mmpretrain's names.

    Args:
        backbone: Config of the backbone.
        num_classes: Number of classes.
    """

    def __init__(self, backbone: Mapping[str, Any], num_classes: int) -> None:
        super().__init__()
        self.backbone = MODELS.build(dict(backbone, out_indices=-1))
        self.head = nn.ModuleDict({"fc": nn.Linear(self.backbone.channels[-1], num_classes)})

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, num_classes)."""
        return self.head["fc"](self.backbone(x)[-1].mean(dim=(2, 3)))


def verify(weights: Mapping[str, Tensor], reference: str) -> float:
    """Compare a classifier's logits with those that another implementation gave.

    Args:
        weights: State dict of a classifier with our backbone.
        reference: An ``.npz`` file of ``input`` (N, C, H, W) and ``logits`` (N, classes).

    Returns:
        The largest absolute difference.

    Raises:
        CheckpointError: If it is above 1e-4, the file holds no such arrays, or the weights are not
            those of a complete sMLPNet or CycleMLP with its head.
    """
    try:
        with np.load(reference) as data:
            x, logits = torch.from_numpy(data["input"]), torch.from_numpy(data["logits"])
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{reference!r} has no arrays 'input' and 'logits' to compare with: {error}"
        ) from error
    network = Classifier(backbone_of(weights), _num_classes(weights) or logits.shape[1])
    loading = load_tensors(network, weights)
    if lacking := [*loading.missing, *loading.mismatched]:
        raise CheckpointError(
            f"comparing logits needs a complete classifier; it lacks {shorten(lacking)}"
        )
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
        meta: The runner's information in it.

    Returns:
        The name, up to the date.
    """
    experiment = str(meta.get("experiment_name") or Path(source).stem)
    return re.sub(r"_\d{8}_\d{6}$", "", experiment)
