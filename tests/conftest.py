"""What tests of several folders use."""

from pathlib import Path

import pytest

from mmsmlp.mini import ensure_mini

TINY_MINI = dict(scenes=(8, 5), portraits=(8, 3))


@pytest.fixture(scope="session")
def tiny_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder whose ``data/mini`` holds a mini data set of a few images."""
    folder = tmp_path_factory.mktemp("tiny_mini")
    ensure_mini(folder / "data" / "mini", **TINY_MINI)
    return folder
