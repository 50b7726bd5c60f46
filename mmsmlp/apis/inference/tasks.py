"""What becomes of predictions, by the task: which are kept, how they are drawn and written."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmsmlp.errors import UsageError

from .drawing import colours_of, label_region, tint, write_text
from .writing import write_picture

Results = list[dict[str, Any]]


def chosen_labels(names: Sequence[str] | None, classes: Sequence[str]) -> set[int]:
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
    return {i for i, name in enumerate(classes) if names is None or name in names}


class Task:
    """What is done with the predictions of one kind of model.

    Args:
        meta: Of the data set that the model was trained on: ``classes`` and ``palette``.
        names: Of the classes to keep; all if not given.

    Attributes:
        first_id: Of the categories in files.
    """

    first_id: ClassVar[int] = 0

    def __init__(self, meta: Mapping[str, Any], names: Sequence[str] | None = None) -> None:
        self.classes: list[str] = list(meta.get("classes") or [])
        self.palette = [tuple(colour) for colour in meta.get("palette") or []]
        self.chosen = chosen_labels(names, self.classes)
        self.is_choosy = names is not None

    def categories(self) -> list[dict[str, Any]]:
        """The classes as files list them."""
        return [dict(id=self.first_id + i, name=name) for i, name in enumerate(self.classes)]

    def name_of(self, label: int) -> str:
        """What a class is called."""
        return self.classes[label] if label < len(self.classes) else f"class {label}"

    def kept(self, prediction: Any) -> Any:
        """What of a prediction is wanted."""
        raise NotImplementedError

    def drawn(self, image: np.ndarray, prediction: Any) -> np.ndarray:
        """An image ``(H, W, 3)`` in BGR with what was found on it."""
        raise NotImplementedError

    def results(self, prediction: Any, folder: Path, stem: str) -> Results:
        """What is found in an image, as JSON holds it.

        Args:
            prediction: What was kept of it.
            folder: Of all results, for those that are files.
            stem: Of the image.
        """
        raise NotImplementedError


class Detection(Task):
    """Boxes, and masks where the model gives them: ``InstanceData`` as mmdet has it.

    Args:
        meta: See :class:`Task`.
        names: See :class:`Task`.
        threshold: The least score of what is kept.
        style: Arguments of mmdet's ``DetLocalVisualizer``.
    """

    first_id = 1  # as in COCO

    def __init__(
        self,
        meta: Mapping[str, Any],
        names: Sequence[str] | None = None,
        threshold: float = 0.3,
        style: Mapping[str, Any] | None = None,
    ) -> None:
        from mmdet.visualization import DetLocalVisualizer

        super().__init__(meta, names)
        self.threshold = threshold
        options = {key: value for key, value in (style or {}).items() if key in STYLES}
        self.visualizer = DetLocalVisualizer(**options)
        self.visualizer.dataset_meta = dict(
            classes=self.classes or None, palette=self.palette or None
        )

    def kept(self, prediction: InstanceData) -> InstanceData:
        keep = prediction.scores >= self.threshold
        if self.is_choosy:
            chosen = prediction.labels.new_tensor(sorted(self.chosen))
            keep &= (prediction.labels[:, None] == chosen).any(dim=1)
        return prediction[keep]

    def drawn(self, image: np.ndarray, prediction: InstanceData) -> np.ndarray:
        from mmdet.structures import DetDataSample

        sample = DetDataSample(pred_instances=prediction)
        with warnings.catch_warnings():
            # Of boxes that go beyond the image.
            warnings.simplefilter("ignore", UserWarning)
            self.visualizer.add_datasample(
                "image", image[..., ::-1], sample, draw_gt=False, pred_score_thr=-1
            )
        return self.visualizer.get_image()[..., ::-1]

    def results(self, prediction: InstanceData, folder: Path, stem: str) -> Results:
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


STYLES = ("alpha", "bbox_color", "line_width", "mask_color", "text_color")


class Segmentation(Task):
    """The class of every pixel: an array ``(H, W)``."""

    def __init__(self, meta: Mapping[str, Any], names: Sequence[str] | None = None) -> None:
        super().__init__(meta, names)
        self.colours = colours_of(self.palette, len(self.classes))

    def kept(self, prediction: np.ndarray) -> np.ndarray:
        kind = np.uint8 if len(self.classes) < 2**8 else np.uint16
        prediction = prediction.astype(kind)
        if self.is_choosy:
            left_out = ~np.isin(prediction, sorted(self.chosen))
            prediction[left_out] = np.iinfo(kind).max
        return prediction

    def drawn(self, image: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        labels: Collection[int] = np.unique(prediction[prediction < len(self.colours)])
        image = tint(image, prediction, self.colours)
        for label in labels:
            image = label_region(image, prediction == label, self.name_of(label))
        return image

    def results(self, prediction: np.ndarray, folder: Path, stem: str) -> Results:
        path = Path("maps", f"{stem}.png")
        write_picture(prediction, folder / path)
        return [dict(index_map=path.as_posix())]


class Classification(Task):
    """The score of every class: an array ``(C,)``; of those wanted, the best is kept."""

    def kept(self, prediction: np.ndarray) -> tuple[int, float]:
        labels = sorted(self.chosen) if self.is_choosy else np.arange(len(prediction))
        best = int(max(labels, key=lambda label: prediction[label]))
        return best, float(prediction[best])

    def drawn(self, image: np.ndarray, prediction: tuple[int, float]) -> np.ndarray:
        label, score = prediction
        return write_text(image, f"{self.name_of(label)} {score:.2f}", (0, 0))

    def results(self, prediction: tuple[int, float], folder: Path, stem: str) -> Results:
        label, score = prediction
        return [{"category_id": label, "class": self.name_of(label), "score": score}]


# By the scope of the config, and by what a file is called that holds such a model.
TASKS: dict[str, type[Task]] = {
    "mmdet": Detection,
    "mmseg": Segmentation,
    "mmpretrain": Classification,
    "one-stage detector": Detection,
    "one-stage instance segmentor": Detection,
    "two-stage detector": Detection,
    "segmentor": Segmentation,
    "classifier": Classification,
}
