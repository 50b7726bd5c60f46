"""The checkpoint that an interrupted run goes on from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmsmlp.errors import TornCheckpointError

from .reading import read_checkpoint

OF_A_RUN = re.compile(r"(epoch|iter)_\d+(_iter_\d+)?\.pth")


def newest_checkpoint(
    work_dir: str | Path, say: Callable[[str], object] = print, trust: bool = False
) -> tuple[str, dict[str, Any]] | None:
    """Find the newest checkpoint of a run that is whole.

    That is the one that ``last_checkpoint`` names. If it is gone or torn, it is the newest other
    one in the folder; ``say`` gets a line then.

    Args:
        work_dir: Folder of the run.
        say: What to do with a line for the user.
        trust: Whether code in checkpoints may run.

    Returns:
        Its path and what :func:`read_checkpoint` gives; None if there is none.

    Raises:
        CheckpointError: If one cannot be read although it is not torn.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / "last_checkpoint"
    named = pointer.read_text().strip() if pointer.is_file() else ""
    others = [path for path in work_dir.glob("*.pth") if OF_A_RUN.fullmatch(path.name)]
    others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    # The folder may have been moved since.
    named = [path for path in (named, str(work_dir / Path(named).name)) if Path(path).is_file()]
    problem = "" if named else f"{pointer} names no checkpoint that exists"
    for path in dict.fromkeys([*named, *map(str, others)]):
        try:
            checkpoint = read_checkpoint(path, trust=trust)
        except TornCheckpointError as error:
            problem = problem or str(error)
            continue
        if problem:
            say(f"{problem}; going on from {path}")
        return path, checkpoint
    if named or others:
        say(f"{problem}; beginning anew")
    return None
