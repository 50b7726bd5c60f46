"""How images are made ready: the steps of a test pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import CenterCrop, Resize

from mmsmlp.errors import UsageError

Step = Mapping[str, Any]
# Steps that choose the part of an image and its size.
SIZING = ("Resize", "ResizeEdge", "CenterCrop", "FixShapeResize", "ResizeShortestEdge")
# More than any image has pixels on a side.
UNLIMITED = 10**6


def name_of(step: Step) -> str:
    """The type of a step, without its scope."""
    kind = step["type"]
    return kind.split(".")[-1] if isinstance(kind, str) else kind.__name__


def steps_behind_loading(pipeline: Sequence[Step], size: int | None = None) -> list[dict[str, Any]]:
    """The steps that follow on an image that is loaded, without those for annotations.

    Args:
        pipeline: Of a test set.
        size: The shorter side that images shall have; as the pipeline says if not given.
    """
    steps = [dict(step) for step in pipeline if not name_of(step).startswith("Load")]
    if size is None:
        return steps
    resize = dict(type="Resize", scale=(UNLIMITED, size), keep_ratio=True)
    return [resize, *(step for step in steps if name_of(step) not in SIZING)]


def sized(image: np.ndarray, steps: Sequence[Step]) -> np.ndarray:
    """What the steps make of an image, without the library that they are from.

    Args:
        image: ``(H, W, 3)``.
        steps: See :func:`steps_behind_loading`.

    Raises:
        UsageError: If one is unknown here.
    """
    for step in steps:
        # JSON has lists for tuples, which mmcv does not take.
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in step.items()}
        name = name_of(options)
        options = {key: value for key, value in options.items() if key not in ("type", "_scope_")}
        if name in STEPS:
            image = STEPS[name](image, **options)
        elif not name.startswith("Pack"):
            raise UsageError(
                f"the test pipeline has a step {name}, which an exported file cannot do without "
                "its library: predict with the checkpoint"
            )
    return image


def _transformed(kind: type) -> Any:
    return lambda image, **options: kind(**options)(dict(img=image))["img"]


def resize_edge(image: np.ndarray, scale: int, edge: str = "short", **options: Any) -> np.ndarray:
    """As mmpretrain's ``ResizeEdge``: an edge gets a length, and the other follows."""
    height, width = image.shape[:2]
    by_width = dict(short=width < height, long=width > height, width=True, height=False)[edge]
    size = (
        (scale, int(scale * height / width)) if by_width else (int(scale * width / height), scale)
    )
    return mmcv.imresize(image, size, **options)


STEPS = dict(
    Resize=_transformed(Resize), CenterCrop=_transformed(CenterCrop), ResizeEdge=resize_edge
)
