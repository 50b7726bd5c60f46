"""Models that predict on images as they come: in torch, or exported ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from torch import Tensor, nn

from mmsmlp.deploy import Exported
from mmsmlp.deploy.metadata import test_pipeline
from mmsmlp.errors import UsageError

from .preparing import sized, steps_behind_loading

# From images (H, W, 3) in BGR to what the task takes, see `tasks.py`.
Predictor = Callable[[Sequence[np.ndarray]], list[Any]]
# Of a segmentor with one class: the share from which on a pixel is of it, as in mmseg.
THRESHOLD = 0.3


class ModelPredictor:
    """A model of mmdet, mmseg or mmpretrain, with the test pipeline of its config.

    Args:
        model: The model.
        cfg: Its config.
        size: The shorter side that images get; as the pipeline says if not given.
    """

    def __init__(self, model: nn.Module, cfg: Config, size: int | None = None) -> None:
        self.model = model.eval()
        self.pipeline = Compose(steps_behind_loading(test_pipeline(cfg), size))

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Any]:
        """What the model finds."""
        prepared = [self._prepared(image) for image in images]
        found: list[Any] = []
        # mmseg takes batches of one size only, and an exported file knows no padding.
        for _, group in groupby(prepared, lambda data: data["inputs"].shape):
            samples = self.model.test_step(pseudo_collate(list(group)))
            found.extend(map(_result_of, samples))
        return found

    def _prepared(self, image: np.ndarray) -> dict[str, Any]:
        shape = image.shape[:2]
        return self.pipeline(
            dict(img=image, img_id=0, img_path=None, img_shape=shape, ori_shape=shape)
        )


def _result_of(sample: Any) -> Any:
    if "pred_instances" in sample:
        return sample.pred_instances.cpu()
    if "pred_sem_seg" in sample:
        return sample.pred_sem_seg.data[0].cpu().numpy()
    if "pred_score" in sample:
        return sample.pred_score.cpu().numpy()
    raise UsageError(f"there are no files for what this model finds: {', '.join(sample.keys())}")


class FilePredictor:
    """A classifier or segmentor in a file, without the library that its model is from.

    Args:
        exported: The file.
        cfg: A config whose test pipeline is to make images ready; that of the file if not given.
        size: The shorter side that images get; as the pipeline says if not given.
    """

    def __init__(
        self, exported: Exported, cfg: Config | None = None, size: int | None = None
    ) -> None:
        self.exported = exported
        about = exported.metadata
        pipeline = about["pipeline"] if cfg is None else test_pipeline(cfg)
        self.steps = steps_behind_loading(pipeline, size)
        self.mean, self.std = (torch.tensor(about[name]).view(3, 1, 1) for name in ("mean", "std"))
        self.result = dict(classifier=_scores, segmentor=_classes)[about["kind"]]

    def __call__(self, images: Sequence[np.ndarray]) -> list[Any]:
        """What the model finds."""
        prepared = [self._prepared(image) for image in images]
        found: list[np.ndarray] = []
        for _, group in groupby(prepared, lambda image: image.shape):
            for logits in self.exported(torch.stack(list(group)))["logits"]:
                found.append(self.result(logits, images[len(found)].shape[:2]))
        return found

    def _prepared(self, image: np.ndarray) -> Tensor:
        image = sized(image, self.steps)
        if self.exported.metadata["channel_order"] == "rgb":
            image = image[..., ::-1]
        channels_first = np.ascontiguousarray(image.transpose(2, 0, 1))
        return (torch.from_numpy(channels_first).float() - self.mean) / self.std


def _scores(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    return logits.softmax(dim=0).numpy()


def _classes(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    logits = F.interpolate(logits[None], size, mode="bilinear")[0]
    if len(logits) == 1:
        return (logits[0].sigmoid() > THRESHOLD).numpy().astype(np.int64)
    return logits.argmax(dim=0).numpy()
