"""Loading weights: matching of tensors, checks of the result, and the checkpoint to resume from."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, PretrainedInit, is_model_wrapper, update_init_info
from mmengine.runner import load_state_dict
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmsmlp.errors import CheckpointError, TornCheckpointError, shorten

from .io import read_checkpoint, weights_of
from .sources import converted

Shapes = tuple[tuple[int, ...], tuple[int, ...]]
# Of batch norms; nothing reads it, and old checkpoints have none.
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class LoadReport:
    """Result of loading a state dict into a module.

    Attributes:
        loaded: Names of the module's tensors that were written.
        resized: Tensors of another shape in the state dict, with both shapes.
        mismatched: Tensors that were not written because of their shape, with both shapes.
        missing: Tensors that are not in the state dict, except counters of batch norms.
        unexpected: Names in the state dict that the module has no use for.
        retyped: Tensors of ``loaded`` that are floating-point here and integers there, or the
            reverse.
        broken: Tensors of ``loaded`` that are not finite.
    """

    loaded: list[str]
    resized: dict[str, Shapes]
    mismatched: dict[str, Shapes]
    missing: list[str]
    unexpected: list[str]
    retyped: dict[str, tuple[torch.dtype, torch.dtype]]
    broken: list[str]

    def summary(self, *more: str) -> tuple[str, int]:
        """One line, to which more can be added, and its level as of the module logging."""
        parts = [f"{len(self.loaded)} tensors loaded", f"{len(self.resized)} of them resized"]
        for what, names in (
            ("missing", self.missing),
            ("of another shape", list(self.mismatched)),
            ("unexpected", self.unexpected),
            ("with NaN or infinity", self.broken),
        ):
            if names or what in ("missing", "unexpected"):
                parts.append(f"{len(names)} {what}" + (f" ({shorten(names)})" if names else ""))
        is_odd = self.missing or self.mismatched or self.unexpected or self.broken
        return ", ".join([*parts, *more]), logging.WARNING if is_odd else logging.INFO


def load_tensors(module: nn.Module, weights: Mapping[str, Tensor]) -> LoadReport:
    """Load the matching tensors of a state dict into a module, as mmengine does.

    Args:
        module: The module; it may be on the meta device, if the tensors are.
        weights: The state dict, by the module's names.
    """
    reports: list[LoadReport] = []
    handle = _observe(module, weights, reports.append)
    try:
        load_state_dict(module, dict(weights), logger="silent")
    finally:
        handle.remove()
    return reports[0]


def _observe(
    module: nn.Module, weights: Mapping[str, Tensor], then: Callable[[LoadReport], object]
) -> RemovableHandle:
    """Compare a module before and after it loads something the next time.

    So its own way of loading counts: that of a semi-supervised detector, of test-time
    augmentation, or of axial maps that are resized.
    """
    # Writing into a tensor raises its version.
    before = {name: (x, x._version) for name, x in module.state_dict(keep_vars=True).items()}

    def compare(module: nn.Module, incompatible: Any) -> None:
        handle.remove()
        own = module.state_dict(keep_vars=True)
        written = [
            name
            for name, (x, version) in before.items()
            if own[name] is not x or own[name]._version != version
        ]
        # Old batch norms start a counter as they load.
        loaded = [name for name in written if name in weights or not name.endswith(COUNTER)]
        pairs = {name: (weights[name], own[name]) for name in own if name in weights}
        shapes = {
            name: (tuple(there.shape), tuple(here.shape))
            for name, (there, here) in pairs.items()
            if there.shape != here.shape
        }
        found = {*written, *shapes}
        report = LoadReport(
            loaded,
            resized={name: shapes[name] for name in loaded if name in shapes},
            mismatched={name: shapes[name] for name in shapes if name not in loaded},
            missing=[name for name in own if not (name in found or name.endswith(COUNTER))],
            unexpected=list(incompatible.unexpected_keys),
            retyped={
                name: (there.dtype, here.dtype)
                for name, (there, here) in pairs.items()
                if name in loaded and there.is_floating_point() != here.is_floating_point()
            },
            broken=[name for name in loaded if not _is_finite(own[name])],
        )
        then(report)

    handle = module.register_load_state_dict_post_hook(compare)
    return handle


def _is_finite(x: Tensor) -> bool:
    return x.is_meta or not x.is_floating_point() or bool(torch.isfinite(x.float()).all())


def below_prefix(
    module: nn.Module, weights: Mapping[str, Tensor], given: str | None = None
) -> tuple[str, dict[str, Tensor]]:
    """Find a module in the state dict of a larger network.

    Args:
        module: The module.
        weights: The state dict.
        given: The expected prefix of the names. If it fits less than half of the module's names and
            another prefix fits more, the other one is used.

    Returns:
        The prefix, and the tensors that have it by their names without it.

    Raises:
        CheckpointError: If less than half of the module's names are in the state dict, or they
            occur under several prefixes.
    """
    names = {name for name in module.state_dict() if not name.endswith(COUNTER)}
    counts = Counter()
    for key in weights:
        parts = key.split(".")
        for i in range(len(parts)):
            if ".".join(parts[i:]) in names:
                counts["".join(f"{part}." for part in parts[:i])] += 1
    prefix = f"{given.rstrip('.')}." if given else ""
    enough = len(names) / 2
    if counts[prefix] < enough:
        most = max(counts.values(), default=0)
        if most < enough:
            raise CheckpointError(
                f"only {most} of its {len(names)} tensors are there, whatever the prefix; looked "
                f"for {shorten(sorted(names))}; the checkpoint has {shorten(weights)}"
            )
        prefix, *others = sorted(other for other, count in counts.items() if count == most)
        if others:
            found = shorten([prefix, *others])
            raise CheckpointError(f"it is there under several prefixes, name one: {found}")
    return prefix, {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }


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
        checkpoint: The checkpoint to load.
        needs: The part that must be loaded: the ``'whole'`` model except auxiliary heads, its
            ``'backbone'``, or ``'some'`` of it, as in fine-tuning with another head.
        source: Path or URL of the checkpoint, for messages.
        report: Gets one line on the loaded tensors, and its level as of the module logging.

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

    def judge(loading: LoadReport) -> None:
        try:
            _judge(model, loading, weights, needs)
        except CheckpointError as error:
            raise CheckpointError(f"cannot load {source!r}: {error}") from error
        report(*loading.summary())

    return _observe(model, weights, judge)


def load_weights(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str, needs: str = "whole"
) -> tuple[str, int]:
    """Load a checkpoint as mmengine does, and check it by :func:`check_loading`.

    Returns:
        One line on the loaded tensors, and its level as of the module logging.
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
    model: nn.Module, loading: LoadReport, weights: Mapping[str, Tensor], needs: str
) -> None:
    lacking = [*loading.missing, *loading.mismatched]
    count = len(loading.loaded)
    if count <= min(len(lacking), len(loading.unexpected) + len(loading.mismatched)):
        raise CheckpointError(
            f"it is of something else: {count} of the model's {count + len(lacking)} tensors "
            f"are in it, it lacks {shorten(lacking)}; it has {shorten(weights)}"
        )
    for part, _ in model.named_children():
        # Published weights often lack auxiliary heads, which only help in training.
        if part != needs and (needs != "whole" or part.startswith("auxiliary")):
            continue
        start = f"{part}."
        mismatched = {n: shape for n, shape in loading.mismatched.items() if n.startswith(start)}
        _refuse("shape", mismatched)
        lacking = [name for name in loading.missing if name.startswith(start)]
        if len(lacking) > sum(name.startswith(start) for name in loading.loaded):
            raise CheckpointError(f"it lacks the model's {part}: {shorten(lacking)}")
    _refuse("type", loading.retyped)


def _refuse(what: str, differing: Mapping[str, tuple[Any, Any]]) -> None:
    if differing:
        lines = [f"{name} is {there} there and {h} here" for name, (there, h) in differing.items()]
        raise CheckpointError(f"{len(lines)} of another {what}: {shorten(lines)}")


OUTPUT_NORM = re.compile(r"norm\d+\.")
# Some of them belong to unused outputs, which the network does not build.
PARTS = re.compile(r"(?:stages\.\d+|norm\d+)\.")


class Pretrained:
    """Initialise a backbone from a checkpoint, as mmengine's initialiser of that name.

    Unlike that one, it finds the backbone under any prefix, accepts the files of the networks'
    authors, resizes axial maps, logs the result in one line, and raises an error if the weights do
    not fit.

    Args:
        checkpoint: Path or URL of the checkpoint, or ``mmsmlp://`` and a name of published weights.
        prefix: Prefix of the names of the backbone's tensors.
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
        before = deepcopy(module.state_dict())
        try:
            prefix, weights = below_prefix(module, converted(weights), self.prefix)
            line, level = _load_backbone(module, weights)
        except CheckpointError as error:
            module.load_state_dict(before)
            raise CheckpointError(f"{network} cannot load {self.checkpoint!r}: {error}") from error
        where = f"under {prefix!r} in" if prefix else "from"
        print_log(f"{network}: {line}; {where} {self.checkpoint}", logger="current", level=level)
        if hasattr(module, "_params_init_info"):
            update_init_info(module, f"Pretrained: load from {self.checkpoint}")


def _load_backbone(module: nn.Module, weights: Mapping[str, Tensor]) -> tuple[str, int]:
    """Load the weights of a backbone, which may have fewer outputs and stages.

    Returns:
        One line on the loaded tensors, and its level as of the module logging.

    Raises:
        CheckpointError: If they are of another network.
    """
    loading = load_tensors(module, weights)
    built = tuple({found[0] for name in module.state_dict() if (found := PARTS.match(name))})
    used = [n for n in loading.unexpected if n.startswith(built) or not PARTS.match(n)]
    if len(used) > len(loading.loaded) + len(loading.mismatched):
        raise CheckpointError(
            f"it is of another network: {len(used)} of its tensors have no place, {shorten(used)}"
        )
    _refuse("shape", loading.mismatched)
    _refuse("type", loading.retyped)
    norms = [name for name in loading.missing if OUTPUT_NORM.match(name)]
    more = []
    if norms:
        outputs = sorted({name.partition(".")[0] for name in norms})
        more.append(f"output norms {', '.join(outputs)} start afresh")
    if unused := len(loading.unexpected) - len(used):
        more.append(f"{unused} of stages that are not in use")
    missing = [name for name in loading.missing if name not in norms]
    return replace(loading, missing=missing, unexpected=used).summary(*more)


def split_pretrained(init_cfg: Any) -> tuple[list[dict], list[dict]]:
    """Split initialisers into all others and those of mmengine's ``Pretrained``."""
    configs = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    configs = [] if init_cfg is None else configs
    if not all(isinstance(cfg, Mapping) and "type" in cfg for cfg in configs):
        raise TypeError(f"init_cfg must be a dict with a type, or a list of such, got {init_cfg!r}")
    pretrained = [cfg for cfg in configs if cfg["type"] in ("Pretrained", PretrainedInit)]
    return [cfg for cfg in configs if cfg not in pretrained], pretrained


def matched_pretrained(init_cfg: Any) -> list[dict]:
    """Replace mmengine's by :class:`Pretrained`, after all other initialisers."""
    others, pretrained = split_pretrained(init_cfg)
    return others + [{**cfg, "type": Pretrained} for cfg in pretrained]


OF_A_RUN = re.compile(r"(epoch|iter)_\d+(_iter_\d+)?\.pth")


def newest_checkpoint(
    work_dir: str | Path, say: Callable[[str], object] = print, trust: bool = False
) -> tuple[str, dict[str, Any]] | None:
    """Find the newest complete checkpoint of a run.

    That is the one that ``last_checkpoint`` names. If it is missing or incomplete, the newest other
    one in the folder is used, and ``say`` gets a line.

    Args:
        work_dir: Folder of the run.
        say: Function that shows a line to the user.
        trust: Whether code in checkpoints may run.

    Returns:
        Its path and its contents by :func:`read_checkpoint`; None if there is none.

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
            say(f"{problem}; resuming from {path}")
        return path, checkpoint
    if named or others:
        say(f"{problem}; starting from the beginning")
    return None
