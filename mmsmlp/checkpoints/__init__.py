"""Checkpoints: reading them safely, matching them to a network, writing them whole."""

from mmsmlp.errors import CheckpointError, TornCheckpointError

from .matching import Match, few, match
from .pretrained import Pretrained, matched_pretrained
from .reading import guard_loading, read_checkpoint, weights_of
from .resuming import newest_checkpoint
from .spach import from_spach, is_spach
from .whole import check_weights
from .writing import publishable, remove_partial, serialise, write_atomically

__all__ = [
    "CheckpointError",
    "Match",
    "Pretrained",
    "TornCheckpointError",
    "check_weights",
    "few",
    "from_spach",
    "guard_loading",
    "is_spach",
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
