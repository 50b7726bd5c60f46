"""What tests of several folders use."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

from mmsmlp.mini import ensure_mini

TINY_MINI = dict(scenes=(8, 5), portraits=(8, 3))


@pytest.fixture(autouse=True)
def own_default_scope() -> Iterator[None]:
    """A Runner sets the default scope for the process: keep it from the tests that follow."""
    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


@pytest.fixture(scope="session")
def tiny_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder whose ``data/mini`` holds a mini data set of a few images."""
    folder = tmp_path_factory.mktemp("tiny_mini")
    ensure_mini(folder / "data" / "mini", **TINY_MINI)
    return folder
