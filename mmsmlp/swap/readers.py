"""The parts of a model that read the backbone's maps, and their settings for these maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmsmlp.errors import SwapError

# Settings with the channels of maps: DeepLabV3+ has those of the finest map, in addition to the map
# that it reads; Feature2Pyramid has those of all maps.
FINEST_KEY = "c1_in_channels"
EVERY_KEY = "embed_dim"
CHANNEL_KEYS = ("in_channels", FINEST_KEY, EVERY_KEY)
# Parts beside the backbone that read none of its maps: settings, teachers, and the parts of heads
# that read the output of other parts.
NO_READERS = (
    "backbone",
    "data_preprocessor",
    "init_cfg",
    "kernel_update_head",
    "teacher_backbone",
    "teacher_bbox_head",
    "teacher_neck",
    "test_cfg",
    "train_cfg",
)

# Necks that return maps with the same channels: without the last, or all, with more after them, or
# all at other strides.
PASSING_NECKS = ("JPU", "SSDNeck", "Feature2Pyramid")


@dataclass(frozen=True)
class ChannelRef:
    """A setting of a part of the model with the channels of maps.

    Args:
        part: Config of the part.
        key: Name of the setting.
        positions: The maps that it is about, among those that the backbone outputs.
    """

    part: dict[str, Any]
    key: str
    positions: tuple[int, ...]


def host_of(model: dict[str, Any]) -> dict[str, Any]:
    """The part of a model that has the backbone: the model, or the detector that it wraps.

    Args:
        model: Config of the model.

    Raises:
        SwapError: If there is none.
    """
    for host in (model, model.get("detector")):
        if isinstance(host, dict) and isinstance(host.get("backbone"), dict):
            return host
    raise SwapError(f"{model.get('type')} has no `backbone` that could be another")


def find_channel_refs(host: dict[str, Any], channels: Sequence[int]) -> list[ChannelRef]:
    """Find all settings that depend on the backbone's maps.

    With a neck, that is the neck, or the first of several; without, the heads.

    Args:
        host: Config of the part of the model that has the backbone.
        channels: Of the maps that the backbone outputs.

    Returns:
        At least one ref.

    Raises:
        SwapError: If there is none, or a part is made for just this backbone.
    """
    neck = host.get("neck")
    first = neck[0] if isinstance(neck, list) else neck
    parts = list(_parts(first or host))
    if first and first.get("type") in PASSING_NECKS:
        parts += [
            part for part in _parts({**host, "neck": None}) if _reads_passed(part, first, channels)
        ]
    found = []
    for part in parts:
        _refuse_special(part)
        _forget_unread(part)
        for key in part:
            if key in CHANNEL_KEYS and (positions := _positions(part, key, channels)):
                found.append(ChannelRef(part, key, positions))
        if _begins_with(part.get("out_channels"), channels):
            found.append(ChannelRef(part, "out_channels", tuple(range(len(channels)))))
        # The features that a region of interest is cut from keep their channels.
        if "featmap_strides" in part and part.get("out_channels") in channels:
            position = list(channels).index(part["out_channels"])
            found.append(ChannelRef(part, "out_channels", (position,)))
    if not found:
        raise SwapError(f"no part of it reads maps of {list(channels)} channels")
    return found


def _reads_passed(part: dict[str, Any], neck: dict[str, Any], channels: Sequence[int]) -> bool:
    index = part.get("in_index")
    if EVERY_KEY in neck:
        return index is not None
    if isinstance(index, int):
        return index % len(channels) != len(channels) - 1
    return _begins_with(part.get("in_channels"), channels)


def _begins_with(value: Any, channels: Sequence[int]) -> bool:
    """Whether a setting names the maps of the backbone, and others behind them."""
    number = len(channels)
    return (
        isinstance(value, (list, tuple))
        and len(value) > number
        and list(value[:number]) == list(channels)
    )


def _forget_unread(part: dict[str, Any]) -> None:
    """Take maps from a head that it is given and leaves alone."""
    if part.get("type") == "EncHead" and not part.get("add_lateral"):
        for key in ("in_channels", "in_index"):
            part[key] = part[key][-1:]


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for key, child in node.items():
            if key not in NO_READERS:
                yield from _parts(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from _parts(child)


def _refuse_special(part: dict[str, Any]) -> None:
    for key, child in part.items():
        if key.endswith("_backbone") and isinstance(child, dict) and key not in NO_READERS:
            raise SwapError(
                f"{part.get('type')} feeds its maps back into a backbone made for that, "
                f"{key} of type {child.get('type')}"
            )
        if key == "shared_head" and child:
            raise SwapError(
                f"shared_head ({child.get('type')}) of {part.get('type')} is the last stage of "
                "the old backbone"
            )


def _positions(part: dict[str, Any], key: str, channels: Sequence[int]) -> tuple[int, ...]:
    """The maps that a setting is about; none if it is about others than the backbone's."""
    value = part[key]
    if key == FINEST_KEY:
        return (0,)
    if key == "in_channels" and "in_index" in part:
        indices = part["in_index"]
        indices = [indices] if isinstance(indices, int) else indices
        return tuple(i % len(channels) for i in indices)
    if isinstance(value, int):
        equal = tuple(i for i, number in enumerate(channels) if number == value)
        # Without a setting, heads read the last map.
        return equal if key == EVERY_KEY else equal[-1:]
    if isinstance(value, (list, tuple)):
        if list(value) == list(channels) or _begins_with(value, channels):
            return tuple(range(len(channels)))
        if set(value) <= set(channels):
            return tuple(list(channels).index(number) for number in value)
    return ()


def used_positions(found: Sequence[ChannelRef]) -> list[int]:
    """The maps that are read, among the outputs of the backbone.

    A neck may start at a later level than the first; and unused outputs, whose norms have no
    gradient, stop distributed training.
    """
    used = set()
    for ref in found:
        used.update(ref.positions[ref.part.get("start_level", 0) :])
    return sorted(used)


def rewrite(found: Sequence[ChannelRef], used: Sequence[int], channels: Sequence[int]) -> None:
    """Update the settings of a model for its new maps.

    Args:
        found: Result of :func:`find_channel_refs`; their configs are changed in place.
        used: Indices of the old maps that are replaced.
        channels: Of the new maps.
    """
    new_position = {old: new for new, old in enumerate(used)}
    for ref in found:
        part, key = ref.part, ref.key
        positions = ref.positions
        if start := part.get("start_level", 0):
            positions = positions[start:]
            part["start_level"] = 0
            if part.get("end_level", -1) > 0:
                part["end_level"] -= start
        numbers = [channels[new_position[i]] for i in positions]
        old = part[key]
        if isinstance(old, int):
            part[key] = numbers[0]
        else:
            part[key] = type(old)([*numbers, *old[len(ref.positions) :]])
        if key == "in_channels" and "in_index" in part:
            part["in_index"] = _new_index(part["in_index"], positions, new_position)


def _new_index(
    old: int | Sequence[int], positions: Sequence[int], new_position: dict[int, int]
) -> int | Sequence[int]:
    """Index into the new maps, counting from the end where it did."""
    given = [old] if isinstance(old, int) else old
    new = [
        new_position[position] - (len(new_position) if index < 0 else 0)
        for index, position in zip(given, positions, strict=True)
    ]
    return new[0] if isinstance(old, int) else type(old)(new)
