"""A data set of one's own: images, and annotations in COCO's format."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmsmlp.own_data import Images

SIZE = (64, 48)
NAMES = [f"{i}.png" for i in range(10)]


def box(id: int, image: int, x: float, y: float, w: float, h: float, **more: Any) -> dict[str, Any]:
    return dict(
        dict(
            id=id, image_id=image, category_id=1 + id % 2, bbox=[x, y, w, h], area=w * h, iscrowd=0
        ),
        **more,
    )


DATA = dict(
    images=[dict(id=i, file_name=name, width=64, height=48) for i, name in enumerate(NAMES)],
    annotations=[box(i + 1, i, 4 + i, 5, 20, 10 + i) for i in range(10)],
    categories=[dict(id=1, name="cat"), dict(id=2, name="dog")],
)


@pytest.fixture
def data() -> dict[str, Any]:
    """Annotations without a fault: a box of each of ten images; yours to change."""
    return copy.deepcopy(DATA)


@pytest.fixture
def images() -> Images:
    """What the image files of ``data`` are."""
    return Images(Path("folder"), dict.fromkeys(NAMES, SIZE))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the images of ``data``; not yours to change."""
    folder = tmp_path_factory.mktemp("images")
    for i, name in enumerate(NAMES):
        Image.fromarray(np.full((48, 64, 3), 20 * i, dtype=np.uint8)).save(folder / name)
    return folder
