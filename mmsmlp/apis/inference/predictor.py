"""Predictions on image files and frames, by a config's own test pipeline and its model."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement
from torch import nn

from mmsmlp.engine.runner import find_test_pipeline
from mmsmlp.errors import UsageError, one_line

# In the names of steps that choose the part of an image and its size.
SIZING = ("Resize", "Rescale", "Crop")
# More than any image has pixels on a side.
UNLIMITED = 10**6


class Prepared(NamedTuple):
    """An image as the pipeline leaves it.

    Attributes:
        data: For the model.
        picture: ``(H, W, 3)`` in BGR, of bytes: the image as it was loaded, to draw on.
    """

    data: dict[str, Any]
    picture: np.ndarray


class Predictor:
    """A model of mmdet, mmseg or mmpretrain, with the test pipeline of its config.

    Args:
        model: The model; it may run an exported file.
        cfg: Its config.
        size: The shorter side that images get, or width and height; from the pipeline if None.
        crop: Whether steps that crop stay.

    Attributes:
        reads_tiff: Whether images are loaded by tifffile, which keeps RGB.

    Raises:
        UsageError: If there is no test pipeline, or it cannot be built.
    """

    def __init__(
        self,
        model: nn.Module,
        cfg: Config,
        size: int | tuple[int, int] | None = None,
        crop: bool = True,
    ) -> None:
        self.model = model.eval()
        steps = sized_steps(find_test_pipeline(cfg), size)
        steps = [step for step in steps if crop or "Crop" not in name_of(step)]
        # A video's frames become files, in a format that the pipeline's loader reads.
        self.reads_tiff = any(step.get("imdecode_backend") == "tifffile" for step in steps)
        self._suffix = ".tif" if self.reads_tiff else ".bmp"
        registry = importlib.import_module(f"{cfg.default_scope}.registry")
        try:
            with DefaultScope.overwrite_default_scope(cfg.default_scope):
                self.steps = [registry.TRANSFORMS.build(step) for step in steps]
        except Exception as error:  # any error of a third party's constructor
            raise UsageError(f"the test pipeline cannot be built: {one_line(error)}") from error

    def prepare(self, image: str | Path | np.ndarray) -> Prepared:
        """Run the pipeline.

        Args:
            image: The file, or a frame ``(H, W, 3)`` in BGR, of bytes.

        Raises:
            Exception: Any error of a step.
        """
        if not isinstance(image, np.ndarray):
            return self._prepare(str(image))
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, f"frame{self._suffix}"))
            cv2.imwrite(path, image, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
            return self._prepare(path)

    def _prepare(self, path: str) -> Prepared:
        data: Any = dict(img_path=path, img_id=0)
        picture = None
        for step in self.steps:
            data = step(data)
            if data is None:
                raise ValueError(f"{type(step).__name__} gives nothing")
            if picture is None and isinstance(data.get("img"), np.ndarray):
                picture = as_picture(data["img"], self.reads_tiff)
        if picture is None:
            raise ValueError("no step of the test pipeline loads an image")
        return Prepared(data, picture)

    @torch.no_grad()
    def predict(self, prepared: Sequence[Prepared]) -> list[BaseDataElement]:
        """Predictions of the model's ``test_step``, on the CPU."""
        found: list[BaseDataElement] = []
        # Images of one size go together: mmseg takes no others, and none is padded for another. One
        # of test-time augmentation, which is a list, goes alone.
        for _, group in groupby(
            prepared, lambda one: getattr(one.data["inputs"], "shape", id(one))
        ):
            samples = self.model.test_step(pseudo_collate([one.data for one in group]))
            found.extend(sample.cpu() for sample in samples)
        return found


def name_of(step: dict[str, Any]) -> str:
    """The type of a step, without its scope."""
    kind = step["type"]
    return kind.split(".")[-1] if isinstance(kind, str) else kind.__name__


def sized_steps(
    pipeline: Sequence[dict[str, Any]], size: int | tuple[int, int] | None
) -> list[dict[str, Any]]:
    """The steps of a test pipeline without those that load annotations.

    Args:
        pipeline: The steps.
        size: Takes the place of all steps that resize and crop: the shorter side, or width and
            height.
    """
    steps = without_annotations(pipeline)
    if size is None:
        return steps
    scale = size if isinstance(size, tuple) else (UNLIMITED, size)
    resize = dict(type="Resize", scale=scale, keep_ratio=not isinstance(size, tuple))
    steps = [step for step in steps if not any(word in name_of(step) for word in SIZING)]
    first = next((i for i, step in enumerate(steps) if not name_of(step).startswith("Load")), 0)
    return [*steps[:first], resize, *steps[first:]]


def without_annotations(steps: Sequence[Any]) -> list[Any]:
    """Steps, nested as in ``TestTimeAug`` or not, without those that load annotations."""
    kept: list[Any] = []
    for step in steps:
        if not isinstance(step, dict):
            kept += [inner] if (inner := without_annotations(step)) else []
        elif "Annotations" not in name_of(step):
            nested = step.get("transforms")
            kept.append({**step, "transforms": without_annotations(nested)} if nested else step)
    return kept


def as_picture(image: np.ndarray, is_rgb: bool = False) -> np.ndarray:
    """A loaded image as a picture ``(H, W, 3)`` in BGR, of bytes.

    Args:
        image: ``(H, W)`` or ``(H, W, C)``, of any type; the first three channels of more are shown,
            and other types than bytes are scaled to their range.
        is_rgb: Whether its channels are in this order.
    """
    image = np.atleast_3d(image)
    channels = [0, 1, 2] if image.shape[2] >= 3 else [0, 0, 0]
    image = image[..., channels[::-1] if is_rgb else channels]
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if 1 < image.max() <= 255 and image.min() >= 0:
        return image.astype(np.uint8)
    return cv2.normalize(image.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
