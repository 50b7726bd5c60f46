"""Reading checkpoints: tensors only, whatever else their pickle would do."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from mmengine.utils import digit_version
from torch import Tensor

from .errors import CheckpointError
from .matching import few

# Where a state dict is found in a checkpoint, and the exponential moving average of one; in this
# order, by mmengine and timm, by DeiT and its descendants, by DeepSpeed.
RAW = ("state_dict", "model", "module")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict")


class _Inert:
    """Stands for what is beside the tensors in a training checkpoint; does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# What mmengine's runner (its message hub) and SPACH (its arguments) save along. Nothing of it is
# needed, so nothing of it is made.
BYSTANDERS = (
    "argparse.Namespace",
    "builtins.getattr",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
)
CAN_SKIP_BYSTANDERS = digit_version(torch.__version__) >= digit_version("2.6")


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Whoever calls ``torch.load`` in here, and however: it makes tensors and runs nothing."""
    names = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ[names[0]] = "1"
    try:
        with ExitStack() as stack:
            # Of pickles that torch did not write; what becomes of them is said later.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", UserWarning)
            if CAN_SKIP_BYSTANDERS:
                bystanders = [(_Inert, name) for name in BYSTANDERS]
                stack.enter_context(torch.serialization.safe_globals(bystanders))
            yield
    finally:
        os.environ.pop(names[0])
        os.environ.update({name: value for name, value in before.items() if value is not None})


def read_checkpoint(
    source: str | Path, map_location: str = "cpu", trusted: bool = False
) -> dict[str, Any]:
    """Read a checkpoint without running any code of it.

    Args:
        source: Path of a file that ``torch.save`` or safetensors wrote, or whatever else mmengine
            loads by its scheme: ``https://``, ``torchvision://``, ``open-mmlab://``, ``s3://``.
        map_location: Device to put the tensors on.
        trusted: Whether a torch before 2.6, which cannot tell the objects of a training checkpoint
            from harmful ones, may read it as mmengine does.

    Returns:
        What the file holds; objects beside the tensors are left out or inert.

    Raises:
        CheckpointError: If there is no such file, or it is cut short, is no checkpoint, or holds
            code.
    """
    source = str(source)
    as_mmengine_does = trusted and not CAN_SKIP_BYSTANDERS
    try:
        if source.endswith(".safetensors"):
            checkpoint = _read_safetensors(source, map_location)
        else:
            with nullcontext() if as_mmengine_does else _tensors_only():
                if "://" in source or as_mmengine_does:
                    checkpoint = CheckpointLoader.load_checkpoint(source, map_location)
                else:
                    path = os.path.expanduser(source)
                    checkpoint = torch.load(path, map_location, weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(_why_unreadable(source, error)) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{source!r} is not a checkpoint: it holds a {type(checkpoint).__name__}, not a dict"
        )
    return checkpoint


def _why_unreadable(source: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"checkpoint {source!r} does not exist"
    if refused := re.search(r"GLOBAL (\S+)", str(error)):
        return f"{source!r} holds more than tensors ({refused[1]}): refused, none of it was run"
    # Torch fails with an OSError of no file, too, where it seeks beyond the end.
    if (isinstance(error, OSError) and error.filename) or "://" in source:
        return f"cannot read {source!r}: {getattr(error, 'strerror', None) or error}"
    return f"{source!r} is not a checkpoint, or is cut short"


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
    """The tensors among some values; those of the wrapped model alone if a wrapper was saved."""
    if not isinstance(weights, Mapping):
        return {}
    tensors = {key: value for key, value in weights.items() if isinstance(value, Tensor)}
    wrapped = {k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")}
    return wrapped or tensors
