"""The first images that have objects, with all that is theirs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmsmlp.errors import UsageError
from tests.helpers import tool

RLE = dict(size=[2, 2], counts=[4])
# Neither in the order of their ids, nor are their annotations; 2 has nothing and 3 a crowd only.
CONTENT: dict[str, Any] = dict(
    licenses=[dict(id=1)],
    images=[dict(id=i, file_name=f"{i}.jpg") for i in (9, 3, 2, 5)],
    annotations=[
        dict(id=1, image_id=9, category_id=7, iscrowd=0, segmentation=[[0, 0, 1, 0, 1, 1]]),
        dict(id=2, image_id=5, category_id=7, iscrowd=0, segmentation=[[0, 0, 2, 0, 2, 2]]),
        dict(id=3, image_id=3, category_id=8, iscrowd=1, segmentation=RLE),
        dict(id=4, image_id=5, category_id=8, iscrowd=0, segmentation=[[0, 0, 3, 0, 3, 3]]),
    ],
    categories=[dict(id=7, name="cat"), dict(id=8, name="dog"), dict(id=9, name="emu")],
)


@pytest.fixture
def subset() -> Callable[..., None]:
    return tool("coco_subset")


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    path = tmp_path / "all.json"
    path.write_text(json.dumps(CONTENT))
    return path


def test_the_first_images_with_objects_keep_all_that_is_theirs(
    subset: Callable, annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "new" / "two.json"
    subset(annotations, out, "--images", 2)
    written = json.loads(out.read_text())
    assert [image["id"] for image in written["images"]] == [3, 5]
    assert written["annotations"] == CONTENT["annotations"][1:]
    for key in ("categories", "licenses"):
        assert written[key] == CONTENT[key]
    assert capsys.readouterr().out == f"{out}: 2 images, 3 annotations\n"


@pytest.mark.parametrize(
    ("content", "images", "message"),
    [
        (CONTENT, 4, r"--images is 4, and .*all\.json has 3 with objects"),
        (CONTENT, 0, r"--images must be at least 1, got 0"),
        (dict(images=[]), 1, r"all\.json has no annotations, as files of COCO's format do"),
        ([], 1, r"all\.json has no images and no annotations"),
    ],
)
def test_an_ambiguous_choice_is_an_error_and_nothing_is_written(
    content: object, images: int, message: str, subset: Callable, annotations: Path, tmp_path: Path
) -> None:
    annotations.write_text(json.dumps(content))
    out = tmp_path / "out.json"
    with pytest.raises(UsageError, match=message):
        subset(annotations, out, "--images", images)
    assert not out.exists()


def test_a_file_that_cannot_be_read_is_named(
    subset: Callable, annotations: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"annotations '.*none\.json' do not exist"):
        subset(tmp_path / "none.json", tmp_path / "out.json")
    annotations.write_text("{")
    with pytest.raises(UsageError, match=r"all\.json is not JSON: Expecting"):
        subset(annotations, tmp_path / "out.json")
