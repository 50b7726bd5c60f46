from pathlib import Path

import pytest

from mmsmlp.datasets.mini import ensure_mini


@pytest.fixture(scope="session")
def tiny() -> dict[str, tuple[int, int]]:
    """Size of a set that is drawn in a second."""
    return {"scenes": (6, 3), "portraits": (2, 1)}


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory, tiny: dict) -> Path:
    return ensure_mini(tmp_path_factory.mktemp("data") / "mini", **tiny)
