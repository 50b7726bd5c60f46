"""Checkpoints: reading them safely, matching them to a network, writing them whole."""

from .errors import CheckpointError
from .matching import Match, few, match
from .pretrained import Pretrained, matched_pretrained
from .reading import read_checkpoint, weights_of
from .spach import from_spach, is_spach
from .writing import publishable, serialise, write_atomically

__all__ = [
    "CheckpointError",
    "Match",
    "Pretrained",
    "few",
    "from_spach",
    "is_spach",
    "match",
    "matched_pretrained",
    "publishable",
    "read_checkpoint",
    "serialise",
    "weights_of",
    "write_atomically",
]
