"""Keeps the mini data set on disk: generated once, complete or absent, never half there."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from .shapes import CLASSES
from .writer import SPLITS, write_json, write_set

# Raise it whenever the same seed gives other files: sets of other versions are then replaced.
VERSION = 2

_FORMAT = "mmsmlp-mini"


def ensure_mini(
    root: str | Path = "data/mini",
    *,
    seed: int = 0,
    scenes: tuple[int, int] = (480, 64),
    portraits: tuple[int, int] = (100, 20),
    workers: int | None = None,
) -> Path:
    """Generate the mini data set, unless it exists.

    The files depend on neither ``workers`` nor earlier runs. The set is generated beside
    ``root`` and moved into place when complete, so an interrupted run leaves nothing at
    ``root``; of several processes one generates while the others wait.

    Args:
        root: Folder of the set. A mini set of another seed, size or version is replaced.
        seed: Seed of all randomness, 0 or more.
        scenes: Images for detection and segmentation, for training and validation.
        portraits: Images per class for classification, for training and validation.
        workers: Threads to draw with; None for a few more than there are cores.

    Returns:
        ``root``, as a path.

    Raises:
        ValueError: If the seed is negative, or a count or ``workers`` is not positive.
        FileExistsError: If ``root`` is, or holds, anything other than a mini set.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be positive, got {workers}")
    root, meta = Path(root), _describe(seed, scenes, portraits)
    if _read_meta(root) == meta:
        return root
    # A link to a larger disk stays a link: its target is replaced.
    target = root.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(_beside(target, "lock")):
        # Another process may have generated the set while this one waited.
        if _read_meta(target) != meta:
            _replace(target, meta, workers)
    return root


def _describe(seed: int, scenes: tuple[int, int], portraits: tuple[int, int]) -> dict:
    """Give the contents of ``meta.json``: the settings of a complete set."""
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    for name, counts in (("scenes", scenes), ("portraits", portraits)):
        if len(counts) != len(SPLITS) or min(counts) < 1:
            raise ValueError(f"{name} must be two positive counts (train, val), got {counts}")
    return {
        "format": _FORMAT,
        "version": VERSION,
        "seed": seed,
        "scenes": dict(zip(SPLITS, scenes, strict=True)),
        "portraits_per_class": dict(zip(SPLITS, portraits, strict=True)),
        "classes": list(CLASSES),
    }


def _read_meta(root: Path) -> dict | None:
    """Read ``meta.json``; None if ``root`` holds none or one of something else."""
    try:
        meta = json.loads((root / "meta.json").read_text())
    except (OSError, ValueError):
        return None
    return meta if isinstance(meta, dict) and meta.get("format") == _FORMAT else None


def _replace(target: Path, meta: dict, workers: int | None) -> None:
    """Generate the set beside ``target``, then swap it in; the caller holds the lock."""
    console = Console(stderr=True)
    if _read_meta(target):
        console.print(f"Replacing the mini data set in {target}: other version, seed or size")
    elif target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(
            f"{target} holds something other than a mini data set (it has no meta.json of one): "
            "move it away or choose another folder"
        )
    fresh, old = _beside(target, "partial"), _beside(target, "old")
    for stale in (fresh, old):
        shutil.rmtree(stale, ignore_errors=True)
    try:
        write_set(
            fresh,
            seed=meta["seed"],
            scenes=meta["scenes"],
            portraits=meta["portraits_per_class"],
            workers=workers,
            console=console,
        )
        write_json(fresh / "meta.json", meta)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _beside(target: Path, role: str) -> Path:
    return target.with_name(f".{target.name}.{role}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; the system releases it even if the process is killed.

    The file stays: were it removed, two processes could each lock a file of that name.
    """
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
