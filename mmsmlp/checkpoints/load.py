"""Loading weights: which tensor belongs where, what arrived, and what a run resumes from."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, PretrainedInit, is_model_wrapper, update_init_info
from mmengine.runner import load_state_dict
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmsmlp.errors import CheckpointError, TornCheckpointError, shorten
from mmsmlp.models.layers import AxialMixing, CentredLayerNorm2d, SplitAttention, WeightedSum

from .io import read_checkpoint, weights_of
from .sources import converted

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
            f"{shorten(sorted(names))}; the checkpoint has {shorten(list(keys))}"
        )
    found = [candidate for candidate, count in counts.items() if count == most]
    if len(found) > 1:
        raise CheckpointError(
            f"it is there under several prefixes, name one: {shorten(sorted(found))}"
        )
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


def check_loading(
    model: nn.Module,
    checkpoint: Mapping[str, Any],
    needs: str,
    source: str,
    report: Callable[[str, int], object],
) -> RemovableHandle:
    """Check, when a model loads a checkpoint the next time, that it is one of that model.

    The model is compared before and after loading, so that its own way of loading counts: that of
    a semi-supervised detector, of test-time augmentation, or of axial maps that are resized.

    Args:
        model: The model, wrapped or not.
        checkpoint: What it is about to load.
        needs: What has to arrive: the ``'whole'`` model but auxiliary heads, its ``'backbone'``,
            or ``'some'`` of it, as in a fine-tuning with another head.
        source: Path or URL of the checkpoint, for messages.
        report: Gets one line on what was loaded, and its level as of the module logging.

    Returns:
        Removes the check.

    Raises:
        CheckpointError: If something in the checkpoint is not a tensor. Loading raises it if
            most of the model is missing and most of the checkpoint has no place, if a part that
            is needed is missing or has another shape, or if a tensor has another type.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    weights = _state_tensors(checkpoint, source)
    # Writing into a tensor raises its version.
    before = {name: (x, x._version) for name, x in model.state_dict(keep_vars=True).items()}

    def judge(module: nn.Module, incompatible: Any) -> None:
        handle.remove()
        after = module.state_dict(keep_vars=True)
        loaded = [
            name
            for name, (x, version) in before.items()
            if (after[name] is not x or after[name]._version != version)
            # Old batch norms, which have no batch counter, start one as they load.
            and (name in weights or not _is_dispensable(module, name))
        ]
        try:
            line, level = _judge(module, loaded, weights, incompatible.unexpected_keys, needs)
        except CheckpointError as error:
            raise CheckpointError(f"cannot load {source!r}: {error}") from error
        report(line, level)

    handle = model.register_load_state_dict_post_hook(judge)
    return handle


def load_weights(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str, needs: str = "whole"
) -> tuple[str, int]:
    """Load a checkpoint as mmengine does, and check it by :func:`check_loading`.

    Returns:
        One line on what was loaded, and its level as of the module logging.
    """
    reports: list[tuple[str, int]] = []
    check_loading(model, checkpoint, needs, source, lambda *line: reports.append(line))
    load_state_dict(model, _state_tensors(checkpoint, source), logger="silent")
    return reports[0]


def _state_tensors(checkpoint: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    state = checkpoint.get("state_dict", checkpoint)
    if not isinstance(state, Mapping):
        kind = type(state).__name__
        raise CheckpointError(
            f"cannot load {source!r}: its state_dict is a {kind}, not a dict of tensors"
        )
    weights = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            weights[str(name).removeprefix("module.")] = value
        elif not str(name).endswith("_extra_state"):
            kind = type(value).__name__
            raise CheckpointError(f"cannot load {source!r}: its {name} is a {kind}, not a tensor")
    return weights


def _judge(
    model: nn.Module,
    loaded: Collection[str],
    weights: Mapping[str, Tensor],
    unexpected: Collection[str],
    needs: str,
) -> tuple[str, int]:
    own = model.state_dict()
    shapes = {
        name: (tuple(weights[name].shape), tuple(own[name].shape))
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    }
    mismatched = {name: shape for name, shape in shapes.items() if name not in loaded}
    missing = [
        name
        for name in own
        if not (name in loaded or name in mismatched or _is_dispensable(model, name))
    ]
    absent = len(missing) + len(mismatched)
    if len(loaded) <= min(absent, len(unexpected) + len(mismatched)):
        raise CheckpointError(
            f"it is of something else: {len(loaded)} of the model's {len(loaded) + absent} tensors "
            f"are in it, it lacks {shorten([*missing, *mismatched])}; it has {shorten(weights)}"
        )
    for part, _ in model.named_children():
        # Heads that help in training are often left out of what is published.
        if part == needs or (needs == "whole" and not part.startswith("auxiliary")):
            _check_part(f"{part}.", loaded, missing, mismatched)
    wrong = [
        f"{name} is {weights[name].dtype} there and {own[name].dtype} here"
        for name in loaded
        if name in weights and weights[name].is_floating_point() != own[name].is_floating_point()
    ]
    if wrong:
        raise CheckpointError(f"{len(wrong)} of another type: {shorten(wrong)}")
    broken = [
        name
        for name in loaded
        if own[name].is_floating_point() and not torch.isfinite(own[name].float()).all()
    ]
    resized = len(shapes) - len(mismatched)
    parts = [f"{len(loaded)} tensors loaded", f"{resized} of them resized"]
    for what, names in (
        ("missing", missing),
        ("of another shape", list(mismatched)),
        ("unexpected", unexpected),
        ("with NaN or infinity", broken),
    ):
        if names or what in ("missing", "unexpected"):
            parts.append(f"{len(names)} {what}" + (f" ({shorten(names)})" if names else ""))
    wrong = missing or mismatched or unexpected or broken
    return ", ".join(parts), logging.WARNING if wrong else logging.INFO


def _check_part(
    part: str, loaded: Collection[str], missing: Collection[str], mismatched: Mapping[str, Shapes]
) -> None:
    _refuse_shapes({name: shape for name, shape in mismatched.items() if name.startswith(part)})
    lacking = [name for name in missing if name.startswith(part)]
    if len(lacking) > sum(name.startswith(part) for name in loaded):
        raise CheckpointError(f"it lacks the model's {part[:-1]}: {shorten(lacking)}")


def _refuse_shapes(mismatched: Mapping[str, Shapes]) -> None:
    shapes = [
        f"{name} is {there} there and {here} here" for name, (there, here) in mismatched.items()
    ]
    if shapes:
        raise CheckpointError(f"{len(shapes)} of another shape: {shorten(shapes)}")


OUTPUT_NORM = re.compile(r"norm\d+\.")
# What is left out of the network with the outputs that nobody asks for.
NOT_BUILT = re.compile(r"(?:stages\.\d+|norm\d+)\.")


class Pretrained:
    """Initialise a backbone from a checkpoint, as mmengine's initialiser of that name.

    Unlike that one, it finds the backbone under whatever prefix it was saved, takes the weights of
    the networks' authors as they are, resizes axial maps, says in one line what was loaded, and
    raises if this cannot be what was meant.

    Args:
        checkpoint: Path or URL of the checkpoint, or ``mmsmlp://`` and a name of published weights.
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
        weights = converted(weights)
        try:
            matched = _matched(module, weights, self.prefix)
            module.load_state_dict(matched.tensors, strict=False)
        except (CheckpointError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{network} cannot load {self.checkpoint!r}: {reason}") from error
        line, level = _describe_pretrained(module, matched)
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
            f"{shorten(unexpected)}"
        )
    _refuse_shapes(matched.mismatched)
    return matched


def _unexpected(module: nn.Module, matched: Match) -> list[str]:
    """What has no place in the module, leaving out its stages and norms that were not built."""
    own = tuple({found[0] for name in module.state_dict() if (found := NOT_BUILT.match(name))})
    return [
        name for name in matched.unexpected if name.startswith(own) or not NOT_BUILT.match(name)
    ]


def _describe_pretrained(module: nn.Module, matched: Match) -> tuple[str, int]:
    """One line, up to the name of the checkpoint, and how serious it is."""
    norms = [name for name in matched.missing if OUTPUT_NORM.match(name)]
    missing = [name for name in matched.missing if name not in norms]
    unexpected = _unexpected(module, matched)
    unused = len(matched.unexpected) - len(unexpected)
    parts = [f"{len(matched.tensors)} tensors loaded", f"{len(matched.resized)} of them resized"]
    which = [shorten(missing)] if missing else []
    if norms:
        outputs = sorted({name.partition(".")[0] for name in norms})
        which.append(f"output norms {', '.join(outputs)} start afresh")
    parts.append(f"{len(matched.missing)} missing" + (f" ({'; '.join(which)})" if which else ""))
    parts.append(
        f"{len(unexpected)} unexpected" + (f" ({shorten(unexpected)})" if unexpected else "")
    )
    if unused:
        parts.append(f"{unused} of stages that are not in use")
    where = f"under {matched.prefix!r} in" if matched.prefix else "from"
    level = logging.WARNING if missing or unexpected else logging.INFO
    return f"{', '.join(parts)}; {where}", level


OF_A_RUN = re.compile(r"(epoch|iter)_\d+(_iter_\d+)?\.pth")


def newest_checkpoint(
    work_dir: str | Path, say: Callable[[str], object] = print, trust: bool = False
) -> tuple[str, dict[str, Any]] | None:
    """Find the newest checkpoint of a run that is whole.

    That is the one that ``last_checkpoint`` names. If it is gone or torn, it is the newest other
    one in the folder; ``say`` gets a line then.

    Args:
        work_dir: Folder of the run.
        say: What to do with a line for the user.
        trust: Whether code in checkpoints may run.

    Returns:
        Its path and what :func:`read_checkpoint` gives; None if there is none.

    Raises:
        CheckpointError: If one cannot be read although it is not torn.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / "last_checkpoint"
    named = pointer.read_text().strip() if pointer.is_file() else ""
    others = [path for path in work_dir.glob("*.pth") if OF_A_RUN.fullmatch(path.name)]
    others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    # The folder may have been moved since.
    named = [path for path in (named, str(work_dir / Path(named).name)) if Path(path).is_file()]
    problem = "" if named else f"{pointer} names no checkpoint that exists"
    for path in dict.fromkeys([*named, *map(str, others)]):
        try:
            checkpoint = read_checkpoint(path, trust=trust)
        except TornCheckpointError as error:
            problem = problem or str(error)
            continue
        if problem:
            say(f"{problem}; going on from {path}")
        return path, checkpoint
    if named or others:
        say(f"{problem}; beginning anew")
    return None
