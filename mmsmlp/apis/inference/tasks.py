"""Selection, drawing and writing of predictions, by task."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from pycocotools import mask as coco_mask
from torch import nn

from mmsmlp.errors import UsageError
from mmsmlp.visualization import build_visualizer, draw_sample

from .writing import write_picture

Results = list[dict[str, Any]]


def chosen_labels(names: Sequence[str] | None, classes: Sequence[str]) -> list[int]:
    """Labels of the classes of some names, or of all.

    Args:
        names: The names; all if None.
        classes: All names.

    Raises:
        UsageError: If there is no such class.
    """
    for name in names or ():
        if name not in classes:
            close = get_close_matches(name, classes)
            some = f"{', '.join(classes[:10])}{', …' * (len(classes) > 10)}" or "no names known"
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {some}"
            raise UsageError(f"--classes: there is no class {name!r}; {hint}")
    return [i for i, name in enumerate(classes) if names is None or name in names]


class Task:
    """Treatment of the predictions of one kind of model.

    Args:
        classes: Names of the classes.
        names: Of the classes to keep; all if not given.
        visualizer: Of the library, to draw with.

    Attributes:
        first_id: Of the categories in files.
        has: Attribute that a prediction of this kind has.
        options: Of the visualizer.
    """

    first_id: ClassVar[int] = 0
    has: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self, classes: Sequence[str], names: Sequence[str] | None, visualizer: Visualizer
    ) -> None:
        self.classes = list(classes)
        self.chosen = chosen_labels(names, self.classes)
        self.is_choosy = names is not None
        self.visualizer = visualizer

    def categories(self) -> list[dict[str, Any]]:
        """The classes as files list them."""
        return [dict(id=self.first_id + i, name=name) for i, name in enumerate(self.classes)]

    def name_of(self, label: int) -> str:
        """The name of a class."""
        return self.classes[label] if label < len(self.classes) else f"class {label}"

    def filter(self, sample: BaseDataElement) -> BaseDataElement:
        """A prediction reduced to the requested part.

        Raises:
            UsageError: If it is one of another kind.
        """
        if self.has not in sample:
            found = ", ".join(sample.keys())
            raise UsageError(f"there are no files for this model's predictions: {found}")
        return self._filter(sample.clone())

    def _filter(self, sample: BaseDataElement) -> BaseDataElement:
        raise NotImplementedError

    def draw(self, image: np.ndarray, sample: BaseDataElement) -> np.ndarray:
        """An image ``(H, W, 3)`` in BGR with its predictions, of the same size."""
        np.random.seed(0)  # a class has one colour in all pictures
        with warnings.catch_warnings():
            # Of boxes that go beyond the image.
            warnings.simplefilter("ignore", UserWarning)
            rgb = image[..., ::-1]
            drawn = draw_sample(self.visualizer, rgb, sample, draw_gt=False, **self.options)
        return mmcv.imresize(drawn[..., ::-1], image.shape[1::-1])

    def results(self, sample: BaseDataElement, folder: Path, stem: str) -> Results:
        """Predictions on an image, for JSON.

        Args:
            sample: The selected predictions.
            folder: Of all results, for those that are files.
            stem: Of the image.
        """
        raise NotImplementedError


class Detection(Task):
    """Boxes, and masks where the model gives them."""

    first_id = 1  # as in COCO
    has = "pred_instances"
    options: ClassVar = dict(pred_score_thr=-1)
    threshold = 0.3  # the lowest score to keep

    def _filter(self, sample: BaseDataElement) -> BaseDataElement:
        found = sample.pred_instances
        keep = found.scores >= self.threshold
        if self.is_choosy:
            keep &= torch.isin(found.labels, found.labels.new_tensor(self.chosen))
        sample.pred_instances = found[keep]
        return sample

    def results(self, sample: BaseDataElement, folder: Path, stem: str) -> Results:
        prediction = sample.pred_instances
        corners = prediction.bboxes.double().numpy()
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        found = [
            dict(category_id=self.first_id + label, bbox=box, score=score)
            for label, box, score in zip(
                prediction.labels.tolist(), boxes.tolist(), prediction.scores.tolist(), strict=True
            )
        ]
        if "masks" in prediction:
            for one, mask in zip(found, np.asarray(prediction.masks), strict=True):
                runs = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
                one["segmentation"] = dict(runs, counts=runs["counts"].decode())
                if not any(one["bbox"]):  # of models that find masks alone
                    one["bbox"] = coco_mask.toBbox(runs).tolist()
        return found


class Segmentation(Task):
    """The class of every pixel; of those not wanted, the largest number that a file holds."""

    has = "pred_sem_seg"

    def _filter(self, sample: BaseDataElement) -> BaseDataElement:
        if self.is_choosy:
            labels = sample.pred_sem_seg.data.long()
            left_out = ~torch.isin(labels, labels.new_tensor(self.chosen))
            sample.pred_sem_seg.data = labels.masked_fill(left_out, np.iinfo(self.kind).max)
        return sample

    @property
    def kind(self) -> type[np.unsignedinteger]:
        """The meaning of an index map."""
        return np.uint8 if len(self.classes) < 2**8 else np.uint16

    def results(self, sample: BaseDataElement, folder: Path, stem: str) -> Results:
        labels = sample.pred_sem_seg.data[0].numpy().astype(self.kind)
        path = write_picture(labels, folder / "maps" / f"{stem}.png")
        return [dict(index_map=path.relative_to(folder).as_posix())]


class Classification(Task):
    """The labels that the model gives; if some are wanted, those of them, or the best of them."""

    has = "pred_score"
    is_multi_label = False

    def _filter(self, sample: BaseDataElement) -> BaseDataElement:
        if self.is_choosy and self.is_multi_label:
            wanted = sample.pred_label.new_tensor(self.chosen)
            sample.pred_label = sample.pred_label[torch.isin(sample.pred_label, wanted)]
        elif self.is_choosy:
            best = max(self.chosen, key=lambda label: sample.pred_score[label])
            sample.pred_label = sample.pred_label.new_tensor([best])
        return sample

    def results(self, sample: BaseDataElement, folder: Path, stem: str) -> Results:
        return [
            {
                "category_id": label,
                "class": self.name_of(label),
                "score": float(sample.pred_score[label]),
            }
            for label in sample.pred_label.tolist()
        ]


TASKS: dict[str, type[Task]] = dict(mmdet=Detection, mmseg=Segmentation, mmpretrain=Classification)


def build_task(
    cfg: Config,
    model: nn.Module,
    meta: Mapping[str, Any],
    names: Sequence[str] | None = None,
    threshold: float | None = None,
) -> Task:
    """Treatment of the predictions of a model.

    Args:
        cfg: Its config.
        model: The model.
        meta: Of the data set that it was trained on: ``classes`` and ``palette``.
        names: Of the classes to keep; all if not given.
        threshold: The least score of an object of a detector.

    Raises:
        UsageError: If there is no such class, or a threshold for something else than a detector.
    """
    visualizer = build_visualizer(cfg, model, meta)
    task = TASKS[cfg.default_scope](visualizer.dataset_meta["classes"], names, visualizer)
    if threshold is not None:
        if not isinstance(task, Detection):
            raise UsageError("--score-thr is for detectors")
        task.threshold = threshold
    if isinstance(task, Classification):
        heads = (base.__name__ for base in type(getattr(model, "head", None)).__mro__)
        task.is_multi_label = any(name.startswith(("MultiLabel", "CSRA")) for name in heads)
    return task
