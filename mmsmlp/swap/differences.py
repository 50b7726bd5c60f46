"""The least that a config has to say to become another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DELETE = "_delete_"


def overrides(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What a config that inherits from ``old`` has to hold to be ``new``.

    Lists are given anew, because mmengine cannot change an item of one; dicts are if their
    ``type`` changes or keys go.

    Args:
        old: The config inherited from; all of its keys are in ``new``.
        new: The config wanted.

    Example:
        >>> overrides(dict(a=dict(b=1, c=2)), dict(a=dict(b=1, c=3), d=4))
        {'a': {'c': 3}, 'd': 4}
    """
    changes: dict[str, Any] = {}
    for key, value in new.items():
        if key not in old:
            changes[key] = value
        elif old[key] == value:
            continue
        elif _inherits(old[key], value):
            changes[key] = overrides(old[key], value)
        elif isinstance(value, dict):
            changes[key] = {DELETE: True, **value}
        else:
            changes[key] = value
    return changes


def _inherits(old: Any, new: Any) -> bool:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return False
    return old.keys() <= new.keys() and old.get("type") == new.get("type")


def changed_settings(
    old: dict[str, Any], changes: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Each setting that overrides change, to be shown.

    Args:
        old: The config inherited from.
        changes: What :func:`overrides` gave.
        prefix: Put before names.

    Yields:
        Its name, such as ``'model.neck.in_channels'``, the old value, which is None where there
        was none, and the new one. Lists are compared item by item where they have as many.
    """
    for key, value in changes.items():
        before = old.get(key)
        name = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(before, dict) and DELETE not in value:
            yield from changed_settings(before, value, f"{name}.")
        elif isinstance(value, list) and isinstance(before, list) and len(value) == len(before):
            if not all(isinstance(item, dict) for item in (*before, *value)):
                yield name, before, value
                continue
            for i, (was, now) in enumerate(zip(before, value, strict=True)):
                yield from changed_settings(was, overrides(was, now), f"{name}.{i}.")
        else:
            yield name, before, value
