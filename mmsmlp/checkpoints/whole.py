"""Whether a checkpoint is one of a whole model, before mmengine loads what happens to fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmsmlp.errors import CheckpointError

from .matching import Match, compare, few

# What a model may need of a checkpoint: all that it predicts with, its backbone, or just anything,
# as a fine-tuning does that has another head.
NEEDS = ("whole", "backbone", "some")


def check_weights(
    model: nn.Module, checkpoint: Mapping[str, Any], needs: str = "whole"
) -> tuple[str, int]:
    """Check that a checkpoint is what a model can have been meant to load by its names.

    Args:
        model: The model.
        checkpoint: What mmengine is about to load.
        needs: One of ``NEEDS``.

    Returns:
        One line on what is loaded, and how serious it is.

    Raises:
        CheckpointError: If most of the model is missing and most of the checkpoint has no place,
            if a part that is needed is missing or has another shape, or if something is no tensor
            or of another type.
    """
    state = checkpoint.get("state_dict", checkpoint)
    weights = _tensors(state)
    matched = compare(model, weights)
    fitting, absent = len(matched.tensors), len(matched.missing) + len(matched.mismatched)
    if fitting <= min(absent, len(weights) - fitting):
        raise CheckpointError(
            f"it is of something else: {fitting} of the model's {fitting + absent} tensors are in "
            f"it, it lacks {few([*matched.missing, *matched.mismatched])}; it has {few(weights)}"
        )
    parts = [
        name
        for name, _ in model.named_children()
        # Heads that help in training are often left out of what is published.
        if name == needs or (needs == "whole" and not name.startswith("auxiliary"))
    ]
    for part in parts:
        _check_part(f"{part}.", matched)
    _check_types(model, matched)
    return _summary(matched)


def _tensors(state: Any) -> dict[str, Tensor]:
    if not isinstance(state, Mapping):
        raise CheckpointError(f"its state_dict is a {type(state).__name__}, not a dict of tensors")
    weights = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            weights[str(name).removeprefix("module.")] = value
        elif not str(name).endswith("_extra_state"):
            raise CheckpointError(f"its {name} is a {type(value).__name__}, not a tensor")
    return weights


def _check_part(part: str, matched: Match) -> None:
    shapes = [
        f"{name} is {source} there and {target} here"
        for name, (source, target) in matched.mismatched.items()
        if name.startswith(part)
    ]
    if shapes:
        raise CheckpointError(f"{len(shapes)} of another shape: {few(shapes)}")
    missing = [name for name in matched.missing if name.startswith(part)]
    if len(missing) > sum(name.startswith(part) for name in matched.tensors):
        raise CheckpointError(f"it lacks the model's {part[:-1]}: {few(missing)}")


def _check_types(model: nn.Module, matched: Match) -> None:
    own = model.state_dict()
    wrong = [
        f"{name} is {value.dtype} there and {own[name].dtype} here"
        for name, value in matched.tensors.items()
        if value.is_floating_point() != own[name].is_floating_point()
    ]
    if wrong:
        raise CheckpointError(f"{len(wrong)} of another type: {few(wrong)}")


def _summary(matched: Match) -> tuple[str, int]:
    broken = [
        name
        for name, value in matched.tensors.items()
        if value.is_floating_point() and not torch.isfinite(value.float()).all()
    ]
    parts = [f"{len(matched.tensors)} tensors loaded", f"{len(matched.resized)} of them resized"]
    for what, names in (
        ("missing", matched.missing),
        ("of another shape", list(matched.mismatched)),
        ("unexpected", matched.unexpected),
        ("with NaN or infinity", broken),
    ):
        if names or what in ("missing", "unexpected"):
            parts.append(f"{len(names)} {what}" + (f" ({few(names)})" if names else ""))
    wrong = matched.missing or matched.mismatched or matched.unexpected or broken
    return ", ".join(parts), logging.WARNING if wrong else logging.INFO
