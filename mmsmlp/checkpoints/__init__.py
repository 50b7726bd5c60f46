"""Checkpoints: reading them safely, matching them to a network, writing them whole."""

from mmsmlp.errors import CheckpointError, TornCheckpointError

from .cyclemlp import from_cyclemlp, is_cyclemlp
from .matching import Match, few, match
from .pretrained import Pretrained, matched_pretrained
from .published import download, named_weights
from .reading import guard_loading, read_checkpoint, weights_of
from .resuming import newest_checkpoint
from .sources import source_of
from .spach import from_spach, is_spach
from .whole import check_weights
from .writing import publishable, remove_partial, serialise, write_atomically

__all__ = [
    "CheckpointError",
    "Match",
    "Pretrained",
    "TornCheckpointError",
    "check_weights",
    "download",
    "few",
    "from_cyclemlp",
    "from_spach",
    "guard_loading",
    "is_cyclemlp",
    "is_spach",
    "match",
    "matched_pretrained",
    "named_weights",
    "newest_checkpoint",
    "publishable",
    "read_checkpoint",
    "remove_partial",
    "serialise",
    "source_of",
    "weights_of",
    "write_atomically",
]
