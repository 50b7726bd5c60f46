"""Checkpoints: reading them safely, matching them to a network, writing them as a whole."""

from mmsmlp.errors import shorten as few

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
    Match,
    Pretrained,
    check_loading,
    load_weights,
    match,
    matched_pretrained,
    newest_checkpoint,
)
from .spach import from_spach, is_spach

__all__ = [
    "Match",
    "Pretrained",
    "check_loading",
    "few",
    "from_spach",
    "guard_loading",
    "is_spach",
    "load_weights",
    "match",
    "matched_pretrained",
    "newest_checkpoint",
    "publishable",
    "read_checkpoint",
    "remove_partial",
    "serialise",
    "weights_of",
    "write_atomically",
]
