"""A trained model that predicts on an image of any size."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import BaseDataElement

from mmsmlp.apis.inference import Predictor, Prepared
from mmsmlp.deploy import load_model
from mmsmlp.errors import UsageError
from mmsmlp.visualization import build_visualizer, draw_sample, receptive_fields

from .images import as_shown, size_of

# More than the recipes for COCO and ADE20K use. Memory of a pass and a gradient grows with it.
MAX_INPUT = 1_600_000  # pixels


@dataclass(frozen=True)
class Prediction:
    """Prediction of a model on an image.

    Args:
        sample: In its library's format, at the size of ``image``.
        image: The image to show, in RGB.
        scale: Of ``image``, relative to the original.
        input_size: Height and width of the network's input, without padding.
        reduced: Whether that is smaller than requested.
        seconds: Time of the pass, from the resized image to boxes, masks or classes.
    """

    sample: BaseDataElement
    image: np.ndarray
    scale: float
    input_size: tuple[int, int]
    reduced: bool
    seconds: float


@dataclass(frozen=True)
class Fields:
    """Effective receptive fields of a point of an image, by stage.

    Args:
        image: ``(H, W, 3)``, RGB.
        at: The point: parts of the height and of the width.
        stages: Fields of the size of the network's input.
    """

    image: np.ndarray
    at: tuple[float, float]
    stages: list[np.ndarray]


class Model:
    """A model with its weights.

    Args:
        cfg: A config of mmdet, mmseg or mmpretrain.
        checkpoint: Path or URL.
        device: Such as ``'cpu'``.

    Raises:
        UsageError: If the config cannot be used to predict on images.
        CheckpointError: If the checkpoint is one of something else.
    """

    def __init__(self, cfg: Config, checkpoint: str, device: str) -> None:
        self._cfg = cfg
        loaded = load_model(cfg, checkpoint)
        self.summary = loaded.summary
        # Only images get gradients here.
        self._network = loaded.model.to(device).requires_grad_(False)
        self._predictor = Predictor(self._network, cfg)
        self._visualizer = build_visualizer(cfg, self._network, loaded.meta)
        self.classes: list[str] = self._visualizer.dataset_meta["classes"]

    def predict(self, path: str, resolution: int | None = None) -> Prediction:
        """One pass over an image.

        Args:
            path: Of the image.
            resolution: Its shorter side in pixels; as the config has it if None.
        """
        prepared, reduced = self._prepare(path, resolution)
        image = prepared.picture[..., ::-1]
        shown = as_shown(image)
        sample = prepared.data["data_samples"]
        size = tuple(sample.img_shape[:2])
        # Boxes and masks are wanted at the size in which they are drawn.
        scale = size[1] / shown.shape[1], size[0] / shown.shape[0]
        sample.set_metainfo(dict(ori_shape=shown.shape[:2], scale_factor=scale))
        start = perf_counter()
        (result,) = self._predictor.predict([prepared])
        seconds = perf_counter() - start
        zoom = shown.shape[1] / image.shape[1]
        return Prediction(result, shown, zoom, size, reduced, seconds)

    def draw(self, prediction: Prediction, threshold: float) -> np.ndarray:
        """A prediction as a picture; of a detector, objects with a score above a threshold."""
        sample = prediction.sample
        options = dict(pred_score_thr=threshold) if "pred_instances" in sample else {}
        # mmdet jitters its colours; a class shall look the same in two pictures.
        np.random.seed(0)
        return draw_sample(self._visualizer, prediction.image, sample, draw_gt=False, **options)

    def fields(
        self,
        path: str,
        point: tuple[int, int],
        resolution: int | None = None,
    ) -> Fields:
        """The effective receptive field of a point, by stage; of a classifier, without its crop.

        Args:
            path: Of the image.
            point: Column and row in pixels; the nearest of the image if it is beyond.
            resolution: As in :meth:`predict`.

        Raises:
            UsageError: If the model has no backbone.
        """
        backbone = self._backbone()
        if backbone is None:
            raise UsageError("This model has no `backbone` whose receptive field could be shown.")
        prepared, _ = self._prepare(path, resolution, crop=False)
        at = tuple(
            (min(max(position, 0), length - 1) + 0.5) / length
            for position, length in zip(point[::-1], prepared.picture.shape, strict=False)
        )
        height, width = prepared.data["data_samples"].img_shape[:2]
        batch = self._network.data_preprocessor(pseudo_collate([prepared.data]), False)
        x = batch["inputs"]
        x = torch.stack(x) if isinstance(x, list) else x
        # The image is at the upper left of its padded form.
        inside = at[0] * height / x.shape[2], at[1] * width / x.shape[3]
        fields = receptive_fields(backbone, [x], at=inside)
        stages = [field[:height, :width] for field in fields]
        return Fields(prepared.picture[..., ::-1], at, stages)

    def _backbone(self) -> torch.nn.Module | None:
        return getattr(self._network, "backbone", None)

    def _prepare(
        self, path: str, resolution: int | None, crop: bool = True
    ) -> tuple[Prepared, bool]:
        """An image for the model, and whether it is smaller than requested."""
        predictor = self._predictor if crop else Predictor(self._network, self._cfg, crop=False)
        prepared = predictor.prepare(path)
        height, width = prepared.data["data_samples"].img_shape[:2]
        if resolution is None:
            if height * width <= MAX_INPUT:
                return prepared, False
            resolution = min(height, width)
        size = size_of(prepared.picture, resolution, MAX_INPUT)
        return Predictor(self._network, self._cfg, size, crop).prepare(path), min(size) < resolution
