"""A trained model that predicts on an image of any size."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from time import perf_counter

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement

from mmsmlp.deploy import load_model
from mmsmlp.errors import UsageError
from mmsmlp.visualization import draw_sample, receptive_fields

from .images import as_shown, size_of

SCOPES = ("mmdet", "mmseg", "mmpretrain")
# More than the recipes for COCO and ADE20K use. What a pass and a gradient take grows with it.
MAX_INPUT = 1_600_000  # pixels


@dataclass(frozen=True)
class Prediction:
    """What a model says of an image.

    Args:
        sample: In the terms of its library, at the size of ``image``.
        image: The image as it is to be shown.
        scale: Of ``image``, relative to the original.
        input_size: Height and width of what the network was given, without padding.
        reduced: Whether that is smaller than was asked for.
        seconds: What the pass took, from the resized image to boxes, masks or classes.
    """

    sample: BaseDataElement
    image: np.ndarray
    scale: float
    input_size: tuple[int, int]
    reduced: bool
    seconds: float


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
        scope = cfg.get("default_scope")
        if scope not in SCOPES:
            raise UsageError(f"default_scope must be one of {list(SCOPES)}, got {scope!r}")
        pipeline = cfg.get("test_dataloader", {}).get("dataset", {}).get("pipeline")
        if pipeline is None:
            raise UsageError(f"{cfg.filename}: it has no pipeline in test_dataloader.dataset")
        loaded = load_model(cfg, checkpoint)
        self.summary = loaded.summary
        # Only images get gradients here.
        self._network = loaded.model.to(device).requires_grad_(False)
        self._own_mode = getattr(self._backbone(), "axial_mode", None)
        registry = importlib.import_module(f"{scope}.registry")
        with DefaultScope.overwrite_default_scope(scope):
            steps = [registry.TRANSFORMS.build(step) for step in pipeline]
            self._visualizer = registry.VISUALIZERS.build(
                dict(cfg.visualizer, name=f"demo {checkpoint}", vis_backends=None)
            )
        self._steps = [step for step in steps if not _kind(step).startswith("Load")]
        count = getattr(self._network, "num_classes", 0)
        self.classes = list(loaded.meta.get("classes") or [f"class {i}" for i in range(count)])
        # mmseg cannot do without.
        palette = np.random.default_rng(0).integers(256, size=(len(self.classes), 3)).tolist()
        palette = loaded.meta.get("palette") or palette
        self._visualizer.dataset_meta = dict(classes=self.classes, palette=palette)

    @property
    def has_axial_maps(self) -> bool:
        """Whether the backbone has an ``axial_mode``."""
        return self._own_mode is not None

    def predict(
        self, image: np.ndarray, resolution: int | None = None, axial_mode: str | None = None
    ) -> Prediction:
        """One pass over an image.

        Args:
            image: ``(H, W, 3)``, RGB.
            resolution: Its shorter side in pixels; as the config has it if None.
            axial_mode: One of ``AXIAL_MODES``; the one it was trained with if None.
        """
        self._set_mode(axial_mode)
        sample, reduced = self._sample(image, resolution)
        shown = as_shown(image)
        data = sample["data_samples"]
        size = tuple(data.img_shape[:2])
        # Boxes and masks are wanted at the size in which they are drawn.
        scale = size[1] / shown.shape[1], size[0] / shown.shape[0]
        data.set_metainfo(dict(ori_shape=shown.shape[:2], scale_factor=scale))
        with torch.no_grad():
            start = perf_counter()
            (result,) = self._network.test_step(pseudo_collate([sample]))
            result = result.cpu()  # waits for a GPU
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
        image: np.ndarray,
        at: tuple[float, float],
        resolution: int | None = None,
        axial_mode: str | None = None,
    ) -> list[np.ndarray]:
        """The effective receptive field of a point, by stage; of a classifier, without its crop.

        Args:
            image: ``(H, W, 3)``, RGB.
            at: The point: parts of the height and of the width, from 0 to below 1.
            resolution: As in :meth:`predict`.
            axial_mode: As in :meth:`predict`.

        Returns:
            Fields of the size of the network's input.

        Raises:
            UsageError: If the model has no backbone of its own.
        """
        backbone = self._backbone()
        if backbone is None:
            raise UsageError("This model has no `backbone` whose receptive field could be shown.")
        self._set_mode(axial_mode)
        sample, _ = self._sample(image, resolution, crop=False)
        height, width = sample["data_samples"].img_shape[:2]
        batch = self._network.data_preprocessor(pseudo_collate([sample]), False)
        x = batch["inputs"]
        x = torch.stack(x) if isinstance(x, list) else x
        # The image is in the upper left of what it is padded to.
        inside = at[0] * height / x.shape[2], at[1] * width / x.shape[3]
        return [field[:height, :width] for field in receptive_fields(backbone, [x], at=inside)]

    def _backbone(self) -> torch.nn.Module | None:
        return getattr(self._network, "backbone", None)

    def _set_mode(self, axial_mode: str | None) -> None:
        # Of whoever was here before, nothing is left.
        if self.has_axial_maps:
            self._backbone().axial_mode = axial_mode or self._own_mode

    def _sample(
        self, image: np.ndarray, resolution: int | None, crop: bool = True
    ) -> tuple[dict, bool]:
        """What the preprocessor takes, and whether it is smaller than it was to be."""
        steps = [step for step in self._steps if crop or "Crop" not in _kind(step)]
        if resolution is None:
            sample = Compose(steps)(_as_loaded(image))
            height, width = sample["data_samples"].img_shape[:2]
            if height * width <= MAX_INPUT:
                return sample, False
            resolution = min(height, width)
        steps = [step for step in steps if not _changes_size(step)]
        size = size_of(image, resolution, MAX_INPUT)
        sample = Compose(steps)(_as_loaded(mmcv.imresize(image, size)))
        return sample, min(size) < resolution


def _kind(step: object) -> str:
    return type(step).__name__


def _changes_size(step: object) -> bool:
    return any(word in _kind(step) for word in ("Resize", "Rescale", "Crop"))


def _as_loaded(image: np.ndarray) -> dict:
    """An image as ``LoadImageFromFile`` of the libraries leaves it, and what resizing adds."""
    shape = image.shape[:2]
    return dict(
        img=np.ascontiguousarray(image[..., ::-1]),
        img_path="",
        img_id=0,
        img_shape=shape,
        ori_shape=shape,
        scale_factor=(1.0, 1.0),
        flip=False,
        flip_direction=None,
    )
