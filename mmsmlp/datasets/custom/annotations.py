"""Reading an annotation file in COCO's format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmsmlp.checkpoints import few
from mmsmlp.errors import DataError

# What mmdet cannot do without, in each list of the file.
KEYS = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
Annotations = dict[str, Any]


def read_annotations(path: Path) -> Annotations:
    """Read an annotation file of boxes, or of boxes and masks.

    Args:
        path: The file.

    Returns:
        What it holds, with all keys that are needed, and ids by which images and categories are
        told apart.

    Raises:
        DataError: If it is not such a file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"it cannot be read: {error}") from error
    for name, keys in KEYS.items():
        entries = data.get(name) if isinstance(data, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"it is not in COCO's format, which has a list {name!r}")
        if not entries:
            raise DataError(f"its list {name!r} is empty")
        for place, entry in enumerate(entries):
            lacking = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if lacking:
                raise DataError(f"{name}[{place}] has no {lacking[0]!r}")
    for name, key in (("images", "id"), ("categories", "id"), ("categories", "name")):
        if double := repeated(entry[key] for entry in data[name]):
            raise DataError(f"several {name} have the same {key}: {few(map(str, double))}")
    return data


def repeated(values: Iterable[Any]) -> list[Any]:
    """What is there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


def named_categories(data: Annotations, names: Sequence[str]) -> list[dict[str, Any]]:
    """The categories of some names, in the order of these.

    Raises:
        DataError: If there is no such category.
    """
    by_name = {category["name"]: category for category in data["categories"]}
    for name in names:
        if name not in by_name:
            close = get_close_matches(name, by_name)
            hint = f"did you mean {' or '.join(close)}?" if close else f"it has {few(by_name, 10)}"
            raise DataError(f"it has no class {name!r}; {hint}")
    return [by_name[name] for name in names]
