"""Writing checkpoints: plain tensors, and a whole file or none."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmsmlp.errors import CheckpointError

from .reading import import_safetensors

# What the names of files end in that are not complete.
PARTIAL = ".part"


def publishable(weights: Mapping[str, Tensor], meta: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint as OpenMMLab's libraries load it, of plain tensors and plain values.

    Args:
        weights: State dict.
        meta: What else to say about it; what is no number, string or container of such, is left
            out.

    Returns:
        ``dict(state_dict=…, meta=…)``, whose tensors share no memory with anything.
    """
    state_dict = {key: value.detach().cpu().clone() for key, value in weights.items()}
    return {"state_dict": state_dict, "meta": _plain(dict(meta))}


_NOT_PLAIN = object()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = ((key, _plain(item)) for key, item in value.items() if isinstance(key, str | int))
        return {key: item for key, item in items if item is not _NOT_PLAIN}
    if isinstance(value, list | tuple):
        return type(value)(item for v in value if (item := _plain(v)) is not _NOT_PLAIN)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value if isinstance(value, str | int | float | bool | None) else _NOT_PLAIN


def serialise(checkpoint: Mapping[str, Any], suffix: str) -> bytes:
    """The bytes of a checkpoint; the same checkpoint gives the same bytes.

    Args:
        checkpoint: From :func:`publishable`.
        suffix: ``'.pth'`` or ``'.safetensors'``.

    Returns:
        The content of the file.

    Raises:
        CheckpointError: If the suffix is another, or the library safetensors is needed and missing.
    """
    if suffix == ".safetensors":
        meta = {"format": "pt", "meta": json.dumps(checkpoint["meta"])}
        return import_safetensors().torch.save(dict(checkpoint["state_dict"]), meta)
    if suffix != ".pth":
        raise CheckpointError(f"a checkpoint ends in .pth or .safetensors, not {suffix!r}")
    buffer = io.BytesIO()
    torch.save(dict(checkpoint), buffer)
    return buffer.getvalue()


def write_atomically(data: bytes, path: Path) -> None:
    """Write a file such that there is all of it at its place, or what was there before.

    Args:
        data: The content.
        path: The file.

    Raises:
        CheckpointError: If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(f"cannot write {str(path)!r}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_partial(folder: Path) -> None:
    """Remove what :func:`write_atomically` left in a folder where it was killed."""
    for leftover in folder.glob(f".*{PARTIAL}"):
        leftover.unlink(missing_ok=True)
