"""Settings of a pyramid: architecture, native grids, outputs."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

from mmengine.logging import print_log

from mmsmlp.models.layers import check_int, check_ints, is_int

TRAINING_PADDING = ("include", "crop")
FORMER_TRAINING_PADDING = {"kept": "include", "left_out": "crop", "counted": "crop"}
# Settings of an architecture that are integers; the layers check all others.
WHOLE = {"embed_dims", "depth", "depths", "patch_size", "patch_sizes"}


def native_grids(
    img_size: int | tuple[int, int], patch_sizes: Sequence[int]
) -> list[tuple[int, int]]:
    """Size of every stage's map for an image of the native size.

    Args:
        img_size: Height and width in pixels, or one for both.
        patch_sizes: Side of the patches that each stage embeds or merges.

    Returns:
        Height and width in tokens, by stage.

    Raises:
        TypeError: If ``img_size`` is something else.
        ValueError: If it is below 1.
    """
    sides = img_size if isinstance(img_size, Sequence) else (img_size, img_size)
    check_ints("img_size", sides)
    if len(sides) != 2:
        raise ValueError(f"img_size must be one number of pixels or two, got {img_size}")
    height, width = sides
    return [(-(-height // s), -(-width // s)) for s in accumulate(patch_sizes, mul)]


def resolve_arch(
    arch: str | Mapping[str, Any],
    variants: Mapping[str, Mapping[str, Any]],
    optional: Collection[str] = (),
) -> dict[str, Any]:
    """Settings of an architecture, by name or given as a dict.

    Args:
        arch: Name of a variant, or a dict of its settings.
        variants: Settings by name.
        optional: Keys of a variant that a dict may lack.

    Returns:
        A copy of the settings.

    Raises:
        TypeError: If ``arch`` or one of the settings is of another type.
        ValueError: If the name is unknown, a key is missing or unknown, a setting is out of its
            range, or the settings by stage differ in their number.
    """
    if isinstance(arch, str):
        if arch not in variants:
            raise ValueError(f"arch must be one of {sorted(variants)} or a dict, got {arch!r}")
        return dict(variants[arch])
    if not isinstance(arch, Mapping):
        raise TypeError(f"arch must be one of {sorted(variants)} or a dict, got {arch!r}")
    example = next(iter(variants.values()))
    allowed = set(example)
    required = allowed.difference(optional)
    if missing := required - set(arch):
        raise ValueError(f"arch lacks {sorted(missing)}; a dict needs {sorted(required)}")
    if unknown := set(arch) - allowed:
        unknown = sorted(map(str, unknown))
        raise ValueError(f"arch has unknown keys {unknown}; allowed are {sorted(allowed)}")
    per_stage = {}
    for key in filter(WHOLE.__contains__, arch):
        if isinstance(example[key], Sequence):
            check_ints(key, arch[key], minimum=0 if key == "depths" else 1)
            per_stage[key] = list(arch[key])
        else:
            check_int(key, arch[key])
    if len(numbers := {len(value) for value in per_stage.values()}) > 1 or 0 in numbers:
        raise ValueError(
            f"arch needs as many {' as '.join(per_stage)}, one per stage, got {per_stage}"
        )
    return dict(arch)


def resolve_out_indices(out_indices: int | Sequence[int], num_stages: int) -> tuple[int, ...]:
    """Indices of stages, counted from the start.

    Args:
        out_indices: One or several; negative ones count from the end.
        num_stages: How many there are.

    Raises:
        TypeError: If an index is no integer.
        ValueError: If there is none, one is no stage's, or two are the same.
    """
    given = (out_indices,) if is_int(out_indices) else out_indices
    check_ints("out_indices", given, minimum=-math.inf)
    indices = tuple(i + num_stages if i < 0 else i for i in given)
    if not indices or not all(0 <= i < num_stages for i in indices):
        raise ValueError(
            f"out_indices must be one or more of 0 to {num_stages - 1} (or negative, counting "
            f"from the end), got {out_indices}"
        )
    if len(set(indices)) < len(indices):
        raise ValueError(f"out_indices must name each stage once, got {out_indices}")
    return indices


def resolve_training_padding(value: str) -> str:
    """Treatment of padding in training; also accepts the words of earlier releases.

    Raises:
        ValueError: If it is neither ``'include'`` nor ``'crop'``.
    """
    if value in TRAINING_PADDING:
        return value
    if not isinstance(value, str) or value not in FORMER_TRAINING_PADDING:
        raise ValueError(f"training_padding must be one of {TRAINING_PADDING}, got {value!r}")
    word = FORMER_TRAINING_PADDING[value]
    print_log(
        f"training_padding={value!r} is now {word!r}; the old word will be refused",
        logger="current",
        level=logging.WARNING,
    )
    return word
