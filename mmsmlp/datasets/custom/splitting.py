"""Dividing a data set into images to train on and images to evaluate on."""

from __future__ import annotations

from collections.abc import Container
from hashlib import sha256

from mmsmlp.errors import DataError

from .annotations import Annotations


def split(data: Annotations, share: float) -> tuple[Annotations, Annotations]:
    """Divide annotations by image, the same way each time and on each machine.

    The order is that of a hash of the names, so that hardly an image changes sides when others are
    added.

    Args:
        data: Annotations.
        share: Of the images, how many to evaluate on, between 0 and 1.

    Returns:
        Annotations to train on, and to evaluate on.

    Raises:
        DataError: If there are not two images.
    """
    images = sorted(data["images"], key=lambda image: sha256(image["file_name"].encode()).digest())
    if len(images) < 2:
        raise DataError("one image cannot be divided into some to train on and some to evaluate on")
    count = min(max(round(share * len(images)), 1), len(images) - 1)
    held_out = {image["id"] for image in images[:count]}
    rest = {image["id"] for image in images[count:]}
    return part_of(data, rest), part_of(data, held_out)


def part_of(data: Annotations, ids: Container[int]) -> Annotations:
    """Annotations of some images alone."""
    return dict(
        data,
        images=[image for image in data["images"] if image["id"] in ids],
        annotations=[entry for entry in data["annotations"] if entry["image_id"] in ids],
    )
