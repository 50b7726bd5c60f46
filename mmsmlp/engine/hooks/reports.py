"""Hooks that only report: a failure in one becomes a warning, and the run continues."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from torch.utils.data import Dataset

from mmsmlp.errors import shorten
from mmsmlp.registry import HOOKS
from mmsmlp.visualization import Curves, draw_comparison, draw_curves, save
from mmsmlp.visualization.style import new_figure


def only_report(method: Callable[..., None]) -> Callable[..., None]:
    """Let a method of a hook run in the main process only; its first error becomes a warning."""

    @wraps(method)
    def report(self: Hook, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if not is_main_process():
            return
        try:
            method(self, runner, *args, **kwargs)
        except Exception as error:  # no error here may stop the run
            if not getattr(self, "has_failed", False):
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                runner.logger.warning(f"{type(self).__name__} failed, the run continues: {reason}")
            self.has_failed = True

    return report


@HOOKS.register_module()
class LossCurveHook(Hook):
    """Writes ``loss_curve.png`` into the work directory.

    The curve comes from mmengine's message hub, which checkpoints save and restore: after a
    resumed run it shows the complete training. It is drawn whenever a checkpoint is saved and when
    training ends.

    Args:
        window: Iterations that a point averages over.
        filename: Name of the picture.
    """

    priority = "VERY_LOW"

    def __init__(self, window: int = 20, filename: str = "loss_curve.png") -> None:
        self.window = window
        self.filename = filename

    @only_report
    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Draw the training up to this checkpoint."""
        self._draw(runner)

    @only_report
    def after_train(self, runner: Runner) -> None:
        """Draw the complete training."""
        self._draw(runner)

    def _draw(self, runner: Runner) -> None:
        curves = {}
        for name, buffer in runner.message_hub.log_scalars.items():
            if name.startswith("train/") and "loss" in name:
                values = buffer.data[0]
                window = min(self.window, len(values))
                means = np.convolve(values, np.full(window, 1 / window), mode="valid")
                curves[name.removeprefix("train/")] = Curves(dict(enumerate(means, window)))
        if curves:
            save(draw_curves(curves, []), Path(runner.work_dir, self.filename))


@HOOKS.register_module()
class PredictionSheetHook(Hook):
    """Writes ``predictions.png`` into the work directory after each validation or test.

    Images are picked at equal distances from the complete set. Objects are drawn in the same way on
    both sides; segmentation and classification are drawn by the visualizer of their library.

    Args:
        num_images: How many images the sheet shows.
        filename: Name of the picture.
    """

    priority = "VERY_LOW"

    def __init__(self, num_images: int = 8, filename: str = "predictions.png") -> None:
        self.num_images = num_images
        self.filename = filename
        self._panels: list[np.ndarray] = []

    @only_report
    def before_run(self, runner: Runner) -> None:
        """Log a line if there will be no sheet."""
        if type(runner.visualizer) is Visualizer:
            runner.logger.warning(
                f"no {self.filename}: the config has no `visualizer` of a library, and mmengine's "
                "own draws no predictions"
            )

    # mmengine's hooks for validation and test call these with the mode.

    @only_report
    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        self._panels.clear()

    @only_report
    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | dict | None = None,
        mode: str = "train",
    ) -> None:
        if mode == "train" or type(runner.visualizer) is Visualizer:
            return
        # Image i is of batch i · num_batches / num_images, rounded down.
        num_batches = len(getattr(runner, f"{mode}_dataloader"))
        batches = [i * num_batches // self.num_images for i in range(self.num_images)]
        wanted = batches.count(batch_idx)
        for sample in outputs[:wanted]:
            image = mmcv.imread(sample.img_path, channel_order="rgb")
            self._panels.append(draw_comparison(runner.visualizer, image, sample))

    @only_report
    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        if mode == "train" or not self._panels:
            return
        rows = ceil(len(self._panels) / 2)
        aspect = np.mean([panel.shape[0] / panel.shape[1] for panel in self._panels])
        figure = new_figure(12, 6 * aspect * rows)
        for axes, panel in zip_longest(figure.subplots(rows, 2).flat, self._panels):
            axes.axis("off")
            if panel is not None:
                axes.imshow(panel, interpolation="nearest")
        figure.suptitle("ground truth, then prediction")
        save(figure, Path(runner.work_dir, self.filename))


# The second name is that of former releases, in the configs that they dumped.
@HOOKS.register_module(name=["AnnotationReportHook", "LeftOutHook"])
class AnnotationReportHook(Hook):
    """Reports COCO annotations that mmdet drops or relabels without a warning.

    It drops empty and inverted boxes, boxes outside of their image, and objects of other categories
    than the classes. It numbers labels in the file's order, so a class gets a wrong name if the
    config has another order, or a class that is missing in the file.
    """

    @only_report
    def before_train(self, runner: Runner) -> None:
        """Read the annotations of the training set once more."""
        for dataset in _coco_datasets(runner.train_dataloader.dataset):
            with open(dataset.ann_file) as file:
                content = json.load(file)
            for line in misnamed_classes(content, dataset.metainfo["classes"]):
                runner.logger.warning(f"{dataset.ann_file}: {line}")
            left_out = left_out_annotations(content, dataset.cat_ids)
            parts = [
                f"{len(ids)} {what} (id {shorten(map(str, ids))})" for what, ids in left_out.items()
            ]
            if parts:
                runner.logger.warning(
                    f"{dataset.ann_file}: {sum(map(len, left_out.values()))} of "
                    f"{len(_objects(content))} annotations are left out: {'; '.join(parts)}"
                )


def _coco_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """Data sets in COCO's format among those that one consists of."""
    if hasattr(dataset, "cat_ids") and "://" not in dataset.ann_file:
        yield dataset
    for part in [getattr(dataset, "dataset", None), *getattr(dataset, "datasets", [])]:
        if part is not None:
            yield from _coco_datasets(part)


def _objects(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Annotations of objects: of none in unlabelled data, of segments in panoptic data."""
    return [
        {**annotation, **segment}
        for annotation in content.get("annotations", [])
        for segment in annotation.get("segments_info", [annotation])
    ]


def misnamed_classes(content: Mapping[str, Any], classes: Sequence[str]) -> Iterator[str]:
    """Errors in the classes of a config for mmdet's ``CocoDataset``.

    Args:
        content: Of the annotation file.
        classes: ``metainfo.classes`` of the data set.

    Yields:
        A line for each class that the file has not, and one if the others are in another order.
    """
    names = [category["name"] for category in content["categories"]]
    for missing in (name for name in classes if name not in names):
        nearest = get_close_matches(missing, names, n=1)
        hint = f" (nearest: {nearest[0]!r})" if nearest else ""
        yield (
            f"metainfo.classes has {missing!r}, and no category is called so{hint}; classes behind "
            "it take the name of the one before"
        )
    ordered = [name for name in names if name in classes]
    wanted = [name for name in classes if name in names]
    if ordered != wanted:
        yield (
            f"categories are in the order {', '.join(ordered)}, and metainfo.classes in the order "
            f"{', '.join(wanted)}; mmdet goes by the first, so names on pictures will be wrong"
        )


def left_out_annotations(content: Mapping[str, Any], cat_ids: list[int]) -> dict[str, list[int]]:
    """Find the annotations that mmdet's ``CocoDataset`` drops.

    Args:
        content: Of the file.
        cat_ids: Categories that are among the classes of the data set.

    Returns:
        Ids of annotations, by their error.
    """
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    found = defaultdict(list)
    for annotation in _objects(content):
        left, top, width, height = annotation["bbox"]
        image, category = images.get(annotation["image_id"]), annotation["category_id"]
        if annotation.get("ignore"):
            what = "that are marked to be ignored"
        elif image is None:
            what = f"of image {annotation['image_id']}, which is not listed"
        elif category not in names:
            what = f"of category {category}, which is not listed"
        elif category not in cat_ids:
            what = f"of category {names[category]!r}, which is not in metainfo.classes"
        elif width < 1 or height < 1 or annotation["area"] <= 0:
            what = "with an empty or inverted box"
        elif min(left + width, image["width"]) <= max(left, 0) or (
            min(top + height, image["height"]) <= max(top, 0)
        ):
            what = "with a box beyond its image"
        else:
            continue
        found[what].append(annotation["id"])
    return dict(found)
