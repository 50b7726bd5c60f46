"""Pretrained weights that arrive, or say why not."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.model import PretrainedInit, update_init_info
from torch import Tensor, nn

from mmsmlp.errors import CheckpointError

from .matching import Match, few, match
from .reading import read_checkpoint, weights_of
from .spach import from_spach, is_spach

OUTPUT_NORM = re.compile(r"norm\d+\.")
# What is left out of the network with the outputs that nobody asks for.
NOT_BUILT = re.compile(r"(?:stages\.\d+|norm\d+)\.")


class Pretrained:
    """Initialise a backbone from a checkpoint, as mmengine's initialiser of that name.

    Unlike that one, it finds the backbone under whatever prefix it was saved, takes the weights of
    sMLPNet's authors as they are, resizes axial maps, says in one line what was loaded, and raises
    if this cannot be what was meant.

    Args:
        checkpoint: Path or URL of the checkpoint.
        prefix: What the names of the backbone's tensors begin with.
        map_location: Device to read the tensors to.
    """

    def __init__(
        self, checkpoint: str, prefix: str | None = None, map_location: str = "cpu"
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location

    def __call__(self, module: nn.Module) -> None:
        """Load the weights.

        Raises:
            CheckpointError: If the checkpoint cannot be read, is of another network, or holds
                tensors of another shape.
        """
        network = type(module).__name__
        weights, _ = weights_of(read_checkpoint(self.checkpoint, self.map_location))
        if is_spach(weights):
            weights, _ = from_spach(weights)
        try:
            matched = _matched(module, weights, self.prefix)
            module.load_state_dict(matched.tensors, strict=False)
        except (CheckpointError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{network} cannot load {self.checkpoint!r}: {reason}") from error
        line, level = _summary(module, matched)
        print_log(f"{network}: {line} {self.checkpoint}", logger="current", level=level)
        if hasattr(module, "_params_init_info"):
            update_init_info(module, f"Pretrained: load from {self.checkpoint}")


def matched_pretrained(init_cfg: Any) -> list[dict]:
    """Put :class:`Pretrained` in the place of mmengine's, after all other initialisers.

    Args:
        init_cfg: Initialisation, as mmengine has it.

    Returns:
        The initialisers in the order of their turn.
    """
    configs = [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg or []
    if not (isinstance(configs, list | tuple) and all(map(_has_type, configs))):
        raise TypeError(f"init_cfg must be a dict with a type, or a list of such, got {init_cfg!r}")
    pretrained = [cfg for cfg in configs if cfg["type"] in ("Pretrained", PretrainedInit)]
    others = [cfg for cfg in configs if cfg not in pretrained]
    return others + [{**cfg, "type": Pretrained} for cfg in pretrained]


def _has_type(cfg: Any) -> bool:
    return isinstance(cfg, Mapping) and "type" in cfg


def _matched(module: nn.Module, weights: Mapping[str, Tensor], prefix: str | None) -> Match:
    """The match, if the weights are those of the module.

    Raises:
        CheckpointError: If they are not.
    """
    matched = match(module, weights, prefix)
    unexpected = _unexpected(module, matched)
    if len(unexpected) > len(matched.tensors) + len(matched.mismatched):
        raise CheckpointError(
            f"it is of another network: {len(unexpected)} of its tensors have no place, "
            f"{few(unexpected)}"
        )
    if matched.mismatched:
        shapes = [
            f"{name} is {source} there and {target} here"
            for name, (source, target) in matched.mismatched.items()
        ]
        raise CheckpointError(f"{len(shapes)} of another shape: {few(shapes)}")
    return matched


def _unexpected(module: nn.Module, matched: Match) -> list[str]:
    """What has no place in the module, leaving out its stages and norms that were not built."""
    own = tuple({found[0] for name in module.state_dict() if (found := NOT_BUILT.match(name))})
    return [
        name for name in matched.unexpected if name.startswith(own) or not NOT_BUILT.match(name)
    ]


def _summary(module: nn.Module, matched: Match) -> tuple[str, int]:
    """One line, up to the name of the checkpoint, and how serious it is."""
    norms = [name for name in matched.missing if OUTPUT_NORM.match(name)]
    missing = [name for name in matched.missing if name not in norms]
    unexpected = _unexpected(module, matched)
    unused = len(matched.unexpected) - len(unexpected)
    parts = [f"{len(matched.tensors)} tensors loaded", f"{len(matched.resized)} of them resized"]
    which = [few(missing)] if missing else []
    if norms:
        outputs = sorted({name.partition(".")[0] for name in norms})
        which.append(f"output norms {', '.join(outputs)} start afresh")
    parts.append(f"{len(matched.missing)} missing" + (f" ({'; '.join(which)})" if which else ""))
    parts.append(f"{len(unexpected)} unexpected" + (f" ({few(unexpected)})" if unexpected else ""))
    if unused:
        parts.append(f"{unused} of stages that are not in use")
    where = f"under {matched.prefix!r} in" if matched.prefix else "from"
    level = logging.WARNING if missing or unexpected else logging.INFO
    return f"{', '.join(parts)}; {where}", level
