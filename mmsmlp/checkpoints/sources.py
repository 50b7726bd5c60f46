"""Whose checkpoints are taken as they are: the authors of the networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from torch import Tensor

from mmsmlp.errors import CheckpointError

from .cyclemlp import cyclemlp_settings, from_cyclemlp, is_cyclemlp
from .spach import from_spach, is_spach, smlpnet_settings

Weights = Mapping[str, Tensor]


class Source(NamedTuple):
    """The layout of somebody's checkpoints."""

    repository: str  # on GitHub
    network: str  # type of the backbone
    matches: Callable[[Weights], bool]
    # Gives the state dict by our names, and their name of each module of ours.
    convert: Callable[[Weights], tuple[dict[str, Tensor], dict[str, str]]]
    settings: Callable[[Weights], dict[str, Any]]  # of the backbone, from a converted state dict


SOURCES = (
    Source("microsoft/SPACH", "mmsmlp.SMLPNet", is_spach, from_spach, smlpnet_settings),
    Source("ShoufaChen/CycleMLP", "mmsmlp.CycleMLP", is_cyclemlp, from_cyclemlp, cyclemlp_settings),
)


def source_of(weights: Weights) -> Source | None:
    """Whose layout a state dict has; None if it is nobody's of ``SOURCES``."""
    return next((source for source in SOURCES if source.matches(weights)), None)


def backbone_of(weights: Weights) -> dict[str, Any]:
    """Config of the backbone that converted weights are of.

    Raises:
        CheckpointError: If they are of none of ``SOURCES``.
    """
    for source in SOURCES:
        with suppress(CheckpointError):
            return dict(type=source.network, **source.settings(weights))
    names = " or ".join(source.network.removeprefix("mmsmlp.") for source in SOURCES)
    raise CheckpointError(f"the shapes of its tensors are not those of {names}")


def converted(weights: Weights) -> Weights:
    """A state dict by our names, whether it has them or those of the authors of a network."""
    source = source_of(weights)
    return weights if source is None else source.convert(weights)[0]
