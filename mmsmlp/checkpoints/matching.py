"""Which tensor of a checkpoint belongs to which of a network, and whether it fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from mmsmlp.errors import CheckpointError
from mmsmlp.models.layers import AxialMixing, CentredLayerNorm2d, SplitAttention, WeightedSum

Shapes = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Match:
    """How the tensors of a state dict and those of a module go together.

    Attributes:
        prefix: What the names in the state dict have before the module's.
        tensors: What fits, by the names of the module.
        resized: Those of ``tensors`` that the module resizes as it loads them, with their shape
            in the state dict and in the module.
        mismatched: What has the name of one of the module's tensors but not its shape, likewise.
        missing: Names of the module that the state dict lacks. Batch counters of batch norms do
            not count, since nothing reads them, nor does the mean of a centred layer norm, which
            starts at zero.
        unexpected: Names below the prefix that the module lacks, without the prefix.
    """

    prefix: str
    tensors: dict[str, Tensor]
    resized: dict[str, Shapes]
    mismatched: dict[str, Shapes]
    missing: list[str]
    unexpected: list[str]


def match(module: nn.Module, weights: Mapping[str, Tensor], prefix: str | None = None) -> Match:
    """Match a state dict to a module, wherever in a larger network it was saved.

    Args:
        module: The module; it is left as it is, and may be on the meta device.
        weights: The state dict.
        prefix: What the names are believed to begin with. Where another prefix leads to more of
            the module's names and this one to less than half of them, the other is taken.

    Returns:
        The match.

    Raises:
        CheckpointError: If less than half of the module's names are in the state dict, or they
            are there under several prefixes.
    """
    return compare(module, weights, _find_prefix(_required(module), weights, prefix))


def compare(module: nn.Module, weights: Mapping[str, Tensor], prefix: str = "") -> Match:
    """As :func:`match`, with the very names that begin with ``prefix``, however few they are."""
    own, required = module.state_dict(), _required(module)
    below = {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }
    tensors, resized, mismatched = {}, {}, {}
    for name in filter(below.__contains__, own):
        shapes = tuple(below[name].shape), tuple(own[name].shape)
        if shapes[0] == shapes[1]:
            tensors[name] = below[name]
        elif _is_resizable(module, name, *shapes):
            tensors[name], resized[name] = below[name], shapes
        else:
            mismatched[name] = shapes
    return Match(
        prefix,
        {name: tensors[name] for name in own if name in tensors},
        resized,
        mismatched,
        missing=[name for name in own if name in required and name not in below],
        unexpected=[name for name in below if name not in own],
    )


def _required(module: nn.Module) -> set[str]:
    return {name for name in module.state_dict() if not _is_dispensable(module, name)}


def _find_prefix(names: Collection[str], keys: Iterable[str], given: str | None) -> str:
    """The prefix under which most of ``names`` are among the keys; the given one if it may be."""
    counts = Counter()
    for key in keys:
        parts = key.split(".")
        for i in range(len(parts)):
            if ".".join(parts[i:]) in names:
                counts["".join(f"{part}." for part in parts[:i])] += 1
    if given and not given.endswith("."):
        given += "."
    enough = len(names) / 2
    if counts[given or ""] >= enough:
        return given or ""
    most = max(counts.values(), default=0)
    if most < enough:
        raise CheckpointError(
            f"only {most} of its {len(names)} tensors are there, whatever the prefix; looked for "
            f"{few(sorted(names))}; the checkpoint has {few(list(keys))}"
        )
    found = [candidate for candidate, count in counts.items() if count == most]
    if len(found) > 1:
        raise CheckpointError(f"it is there under several prefixes, name one: {few(sorted(found))}")
    return found[0]


def _is_dispensable(module: nn.Module, name: str) -> bool:
    """Whether a state dict may lack it."""
    owner, _, tensor = name.rpartition(".")
    centred = isinstance(module.get_submodule(owner), CentredLayerNorm2d)
    return tensor == "num_batches_tracked" or (centred and tensor == "running_mean")


def _is_resizable(module: nn.Module, name: str, *shapes: tuple[int, ...]) -> bool:
    """Whether it is an axial map of another native length, or has another form that loads."""
    owner = module.get_submodule(name.rpartition(".")[0])
    source, target = shapes
    if isinstance(owner, WeightedSum):
        return source == owner.shape
    if isinstance(owner, SplitAttention):
        return source == target[::-1]
    return (
        isinstance(owner, AxialMixing)
        and len(source) == len(target)
        and source == (source[0],) * len(source)
    )


def few(names: Iterable[str], count: int = 3) -> str:
    """The first few of many names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return (", ".join(names[:count]) or "nothing") + more
