"""Reading checkpoints: tensors only, whatever else their pickle would do."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmsmlp.errors import CheckpointError, TornCheckpointError

from .matching import few
from .sizes import check_archive, check_tensors
from .unpickling import STATE, TENSORS, load_safely, tensors_only

# Where a state dict is found in a checkpoint, and the exponential moving average of one; in this
# order, by mmengine and timm, by DeiT and its descendants, by DeepSpeed.
RAW = ("state_dict", "model", "module")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict")


def read_checkpoint(
    source: str | Path, map_location: Any = "cpu", whole: bool = False, trust: bool = False
) -> dict[str, Any]:
    """Read a checkpoint without running any code of it.

    Args:
        source: Path of a file that ``torch.save`` or safetensors wrote, or whatever else mmengine
            loads by its scheme: ``https://``, ``torchvision://``, ``open-mmlab://``, ``s3://``.
        map_location: Device to put the tensors on.
        whole: Whether to make all that a run saves and goes on with, and not its tensors alone.
        trust: Whether to make anything else, too, which runs any code that is in the file.

    Returns:
        What the file holds; objects beside the tensors are left out or inert, but those of a run
        if ``whole``.

    Raises:
        CheckpointError: If there is no such file, or it is cut short, is no checkpoint, claims
            to hold more than fits into it, or holds code.
    """
    source = str(source)
    known = STATE if whole else TENSORS

    def read() -> Any:
        if source.endswith(".safetensors"):
            return _read_safetensors(source, map_location)
        if "://" in source:
            with nullcontext() if trust else tensors_only(known):
                return CheckpointLoader.load_checkpoint(source, map_location)
        path = os.path.expanduser(source)
        check_archive(path)
        if trust:
            return torch.load(path, map_location, weights_only=False)
        checkpoint = load_safely(path, map_location, known)
        check_tensors(checkpoint, path)
        return _without_config(checkpoint)

    return _read(source, read)


def guard_loading(trust: bool = False) -> None:
    """From now on, let mmengine read every checkpoint as :func:`read_checkpoint` does.

    That goes for ``load_from``, ``--resume``, and any model of any library that loads its own.

    Args:
        trust: Whether code in checkpoints may run nevertheless.
    """
    for prefix, loader in list(CheckpointLoader._schemes.items()):
        loader = getattr(loader, "__wrapped__", loader)
        guarded = partial(_read_local if prefix == "" else _read_remote, loader, trust)
        CheckpointLoader.register_scheme(prefix, update_wrapper(guarded, loader), force=True)


def _read_local(loader: Callable, trust: bool, source: str, map_location: Any = None) -> Any:
    return read_checkpoint(source, map_location, whole=True, trust=trust)


def _read_remote(loader: Callable, trust: bool, source: str, map_location: Any = None) -> Any:
    with nullcontext() if trust else tensors_only(STATE):
        checkpoint = _read(source, lambda: loader(source, map_location=map_location))
    return checkpoint if trust else _without_config(checkpoint)


def _without_config(checkpoint: Any) -> Any:
    """Leave out the config that old releases saved: mmengine runs it as Python where it resumes."""
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get("meta"), dict):
        checkpoint["meta"].pop("config", None)
    return checkpoint


def _read(source: str, read: Callable[[], Any]) -> dict[str, Any]:
    """What a function reads, or why it cannot, in one line."""
    try:
        checkpoint = read()
    except CheckpointError:
        raise
    except Exception as error:
        raise _why_unreadable(source, error) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{source!r} is not a checkpoint: it holds a {type(checkpoint).__name__}, not a dict"
        )
    return checkpoint


def _why_unreadable(source: str, error: Exception) -> CheckpointError:
    if isinstance(error, FileNotFoundError):
        return CheckpointError(f"checkpoint {source!r} does not exist")
    if refused := re.search(r"(?:GLOBAL|Unsupported class) (\S+)", str(error)):
        return CheckpointError(
            f"{source!r} holds more than tensors ({refused[1]}): refused, none of it was run"
        )
    # Torch fails with an OSError of no file, too, where it seeks beyond the end.
    if (isinstance(error, OSError) and error.filename) or "://" in source:
        reason = getattr(error, "strerror", None) or error
        return CheckpointError(f"cannot read {source!r}: {reason}")
    return TornCheckpointError(f"{source!r} is not a checkpoint, or is cut short")


def _read_safetensors(path: str, map_location: str) -> dict[str, Any]:
    safetensors = import_safetensors()
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(path)
    with safetensors.safe_open(path, framework="pt", device=map_location) as file:
        state_dict = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        meta = (file.metadata() or {}).get("meta", "{}")
    return {"state_dict": state_dict, "meta": json.loads(meta)}


def import_safetensors() -> Any:
    """The library safetensors.

    Raises:
        CheckpointError: If it is not installed.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise CheckpointError(
            "a .safetensors file needs the library: pip install safetensors"
        ) from error
    return safetensors


def weights_of(
    checkpoint: Mapping[str, Any], ema: bool | None = None
) -> tuple[dict[str, Tensor], str]:
    """Find the state dict in a checkpoint.

    Args:
        checkpoint: What :func:`read_checkpoint` gives, or a bare state dict.
        ema: Whether to take the exponential moving average of the weights; if None, what whoever
            saved it evaluates, which is the average with mmengine's ``EMAHook`` and the weights
            themselves elsewhere.

    Returns:
        The tensors of the state dict, and under which key it was.

    Raises:
        CheckpointError: If there is none, or not the one that is asked for.
    """
    found = {key: checkpoint[key] for key in (*RAW, *AVERAGED) if _tensors(checkpoint.get(key))}
    raw = [key for key in RAW if key in found]
    averaged = [key for key in AVERAGED if key in found]
    if "state_dict" in found and "ema_state_dict" in found:
        # EMAHook exchanges the two as it saves, so that other tools find the average.
        raw, averaged = ["ema_state_dict"], ["state_dict"]
        candidates = raw if ema is False else averaged
    elif ema is None:
        candidates = raw + averaged
    else:
        candidates = averaged if ema else raw
    if candidates:
        return _tensors(found[candidates[0]]), candidates[0]
    if not ema and _tensors(checkpoint):
        return _tensors(checkpoint), "the file itself"
    wanted = {None: "weights", True: "averaged weights (EMA)", False: "weights without averaging"}
    raise CheckpointError(
        f"there are no {wanted[ema]} in it; it has {few(map(str, checkpoint), 8)}"
    )


def _tensors(weights: Any) -> dict[str, Tensor]:
    """The named tensors among some values; those of the wrapped model alone if one was saved."""
    if not isinstance(weights, Mapping):
        return {}
    tensors = {k: v for k, v in weights.items() if isinstance(k, str) and isinstance(v, Tensor)}
    wrapped = {k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")}
    return wrapped or tensors
