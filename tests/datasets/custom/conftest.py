"""Annotations of one's own, to be given faults."""

import copy
from pathlib import Path
from typing import Any

import pytest

from mmsmlp.datasets.custom import Images
from tests.helpers import OWN_DATA, OWN_NAMES, OWN_SIZE


@pytest.fixture
def data() -> dict[str, Any]:
    """Annotations without a fault: a box of each of ten images; yours to change."""
    return copy.deepcopy(OWN_DATA)


@pytest.fixture
def images() -> Images:
    """What the image files of ``data`` are."""
    return Images(Path("folder"), dict.fromkeys(OWN_NAMES, OWN_SIZE))
