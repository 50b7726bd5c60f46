"""What is no annotation file is told in a line."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmsmlp.datasets.custom import read_annotations
from mmsmlp.errors import DataError


def changed(data: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    """Annotations with a value at a place such as ``'images.0.id'``; None takes it away."""
    *path, last = [int(key) if key.isdigit() else key for key in where.split(".")]
    node = data
    for key in path:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return data


def test_a_file_without_a_fault_is_read_as_it_is(data: dict, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    assert read_annotations(path) == data


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("images", None, "not in COCO's format, which has a list 'images'"),
        ("annotations", [], "its list 'annotations' is empty"),
        ("images.2.file_name", None, r"images\[2\] has no 'file_name'"),
        ("annotations.3.bbox", None, r"annotations\[3\] has no 'bbox'"),
        ("images.1.id", 0, "several images have the same id: 0"),
        ("categories.1.id", 1, "several categories have the same id: 1"),
        ("categories.1.name", "cat", "several categories have the same name: cat"),
    ],
)
def test_what_is_missing_or_taken_twice_is_named(
    data: dict, tmp_path: Path, where: str, value: Any, message: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(changed(data, where, value)))
    with pytest.raises(DataError, match=message):
        read_annotations(path)


@pytest.mark.parametrize("text", [None, "{", "[1, 2]"])
def test_what_is_no_json_of_annotations_is_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=r"cannot be read|not in COCO's format") as error:
        read_annotations(path)
    assert "\n" not in str(error.value)
