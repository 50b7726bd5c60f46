"""Published weights by name: ``mmsmlp://cyclemlp_b2_in1k``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock  # torch needs it as well
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmsmlp.errors import CheckpointError, TornCheckpointError
from mmsmlp.weights import SCHEME, WEIGHTS, Weights

from .io import read_checkpoint, weights_of
from .sources import source_of

# Names a folder that is looked into before the cache.
FOLDER = "MMSMLP_WEIGHTS"
# A server that breaks off is asked so often.
ATTEMPTS = 3


def named_weights(name: str) -> Weights:
    """The entry of the table.

    Args:
        name: With or without ``mmsmlp://``.

    Raises:
        CheckpointError: If there is none of this name.
    """
    name = name.removeprefix(SCHEME)
    if name not in WEIGHTS:
        close = get_close_matches(name, WEIGHTS, n=1, cutoff=0)[0]
        raise CheckpointError(
            f"there are no weights {name!r} (nearest: {close}); there are {', '.join(WEIGHTS)}"
        )
    return WEIGHTS[name]


def cache_folder() -> Path:
    """Where torch hub keeps checkpoints."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def download(name: str, folder: Path | None = None) -> Path:
    """Find the authors' file of some weights, or download it.

    It is looked for in the folder that ``MMSMLP_WEIGHTS`` names, then in torch hub's cache. A file
    there is always complete and has been read; its SHA-256 is stored beside it and checked at each
    use.

    Args:
        name: Of the weights.
        folder: Folder of the file, instead of these.

    Returns:
        Path of the file.

    Raises:
        CheckpointError: If the name is unknown, the file cannot be downloaded, is of another
            network, or has changed.
    """
    weights = named_weights(name)
    path = (folder or cache_folder()) / weights.file
    given = os.environ.get(FOLDER)
    if folder is None and given and (Path(given).expanduser() / weights.file).is_file():
        path = Path(given).expanduser() / weights.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            _check_sum(weights, path)
            return path
        # Of several processes, one downloads.
        with FileLock(f"{path}.lock"):
            if not path.is_file():
                _download(weights, path)
    except OSError as error:
        raise CheckpointError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    _check_sum(weights, path)
    return path


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_published(filename: str, map_location: Any = "cpu") -> dict[str, Any]:
    """Load ``mmsmlp://NAME`` for mmengine: the weights by our names.

    Raises:
        CheckpointError: See :func:`download`.
    """
    weights = named_weights(filename)
    state_dict = _converted(weights, download(weights.name), map_location)
    meta = dict(name=weights.name, source=weights.source, licence=weights.licence)
    return dict(state_dict=state_dict, meta=meta)


def _download(weights: Weights, path: Path) -> None:
    partial = path.with_name(f"{path.name}.part")
    by_hand = f"to put it by hand: into a folder that {FOLDER} names, or at {path}"
    for attempt in range(ATTEMPTS):
        try:
            torch.hub.download_url_to_file(weights.url, str(partial))
            # A connection that breaks off looks to torch like the end of the file.
            _converted(weights, partial)
        except TornCheckpointError as error:
            partial.unlink()
            if attempt == ATTEMPTS - 1:
                raise CheckpointError(
                    f"{weights.url} is not a checkpoint, or breaks off; {by_hand}"
                ) from error
        except CheckpointError as error:
            partial.unlink()
            raise CheckpointError(f"{weights.url}: {error}; {by_hand}") from error
        except OSError as error:  # of urllib, among others
            reason = str(error).removeprefix("<urlopen error ").removesuffix(">")
            raise CheckpointError(f"cannot download {weights.url} ({reason}); {by_hand}") from error
        else:
            os.replace(partial, path)
            return


def _converted(weights: Weights, path: Path, map_location: Any = "cpu") -> Mapping[str, Tensor]:
    """The weights in a file by our names, if it holds those of the table.

    Raises:
        CheckpointError: If it does not.
    """
    state_dict, _ = weights_of(read_checkpoint(path, map_location))
    source = source_of(state_dict)
    if source is None or source.repository != weights.source:
        raise CheckpointError(f"{str(path)!r} holds no weights of {weights.source}")
    state_dict, _ = source.convert(state_dict)
    arch = source.backbone(state_dict)["arch"]
    if arch != weights.arch:
        raise CheckpointError(
            f"{str(path)!r} holds weights of the architecture {arch}, not of {weights.arch!r}"
        )
    return state_dict


def _check_sum(weights: Weights, path: Path) -> None:
    """Compare a file with its checksum, which is written if there is none yet.

    Raises:
        CheckpointError: If it is another file than it was.
    """
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    beside = path.with_name(f"{path.name}.sha256")
    if not beside.is_file():
        _converted(weights, path)  # put there by hand
        with suppress(OSError):  # a folder that is read only
            beside.write_text(f"{digest.hexdigest()}  {path.name}\n")
    elif (kept := beside.read_text().split()[:1]) != [digest.hexdigest()]:
        raise CheckpointError(
            f"{str(path)!r} has changed since it was first read: its SHA-256 is "
            f"{digest.hexdigest()}, not {' '.join(kept)}; delete both files to download it again"
        )
