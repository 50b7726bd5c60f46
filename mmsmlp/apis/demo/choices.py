"""The models that a visitor may choose."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Choice(NamedTuple):
    """A config and a checkpoint of its model."""

    config: str
    checkpoint: str


def find_choices(work_dirs: Path) -> dict[str, Choice]:
    """The checkpoints of trainings, newest first, by work directory and name.

    Args:
        work_dirs: Folder of the work directories; it need not be there.
    """
    found = {}
    for folder in sorted(path for path in work_dirs.glob("*") if path.is_dir()):
        configs = _newest_first(folder.glob("*.py"))
        for checkpoint in _newest_first(folder.glob("*.pth")):
            if configs:  # as a training wrote it last
                name = f"{folder.name} / {checkpoint.stem}"
                found[name] = Choice(str(configs[0]), str(checkpoint))
    return found


def _newest_first(paths) -> list[Path]:
    return sorted(paths, key=lambda path: (-path.stat().st_mtime_ns, path.name))
