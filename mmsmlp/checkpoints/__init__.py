"""Checkpoints: safe reading, matching to a network, atomic writing."""

from .io import (
    guard_loading,
    publishable,
    read_checkpoint,
    remove_partial,
    serialise,
    weights_of,
    write_atomically,
)
from .load import (
    LoadReport,
    Pretrained,
    below_prefix,
    check_loading,
    load_tensors,
    load_weights,
    matched_pretrained,
    newest_checkpoint,
    split_pretrained,
)
from .published import download, named_weights
from .sources import CYCLEMLP, SPACH, source_of

__all__ = [
    "CYCLEMLP",
    "SPACH",
    "LoadReport",
    "Pretrained",
    "below_prefix",
    "check_loading",
    "download",
    "guard_loading",
    "load_tensors",
    "load_weights",
    "matched_pretrained",
    "named_weights",
    "newest_checkpoint",
    "publishable",
    "read_checkpoint",
    "remove_partial",
    "serialise",
    "source_of",
    "split_pretrained",
    "weights_of",
    "write_atomically",
]
