"""Whether a checkpoint can hold what it claims to hold."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mmsmlp.errors import CheckpointError


def check_archive(path: str) -> None:
    """Refuse an archive that unpacks to more than itself; torch compresses nothing.

    Raises:
        CheckpointError: Then.
    """
    if not os.path.isfile(path) or not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(record.file_size for record in archive.infolist())
    except zipfile.BadZipFile:
        return  # torch says so
    _compare(path, "unpacks to", unpacked)


def check_tensors(checkpoint: Any, path: str) -> None:
    """Refuse tensors that have more values, or a larger memory, than their file has bytes.

    Raises:
        CheckpointError: Then, or if one is sparse or has no values.
    """
    storages = {}
    for tensor in _tensors(checkpoint):
        if tensor.layout is not torch.strided or tensor.is_meta:
            kind = "of no values" if tensor.is_meta else f"of layout {tensor.layout}"
            raise CheckpointError(f"{path!r} holds a tensor {kind}: only dense ones are read")
        _compare(path, "holds a tensor of", tensor.numel() * tensor.element_size())
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    _compare(path, "holds tensors of", sum(storages.values()))


def _tensors(root: Any) -> Iterator[Tensor]:
    """All tensors in nested containers, which a file can make contain themselves."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Tensor):
            yield node
        elif isinstance(node, Mapping):
            nodes.extend(node.values())
        elif isinstance(node, list | tuple):
            nodes.extend(node)


def _compare(path: str, claim: str, claimed: int) -> None:
    size = os.path.getsize(path)
    if claimed > size:
        raise CheckpointError(f"{path!r} has {size:,} bytes and {claim} {claimed:,}: refused")
