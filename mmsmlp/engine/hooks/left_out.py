"""Says what of a data set in COCO's format takes no part in training, or goes by another name."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmsmlp.registry import HOOKS


@HOOKS.register_module()
class LeftOutHook(Hook):
    """Logs what mmdet does to a data set in COCO's format without a word.

    It leaves out empty and inverted boxes, boxes beyond their image, and objects of categories that
    are not among the classes. It numbers labels in the file's order, so that a class takes the name
    of another where the config has them in a different one, or has one that the file has not.
    """

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Read the annotations of the training set once more."""
        for dataset in _coco_datasets(runner.train_dataloader.dataset):
            with open(dataset.ann_file) as file:
                content = json.load(file)
            for line in misnamed_classes(content, dataset.metainfo["classes"]):
                runner.logger.warning(f"{dataset.ann_file}: {line}")
            left_out = left_out_annotations(content, dataset.cat_ids)
            if left_out:
                parts = [
                    f"{len(ids)} {what} (id {', '.join(map(str, ids[:3]))}{', …' * (len(ids) > 3)})"
                    for what, ids in left_out.items()
                ]
                count = sum(map(len, left_out.values()))
                runner.logger.warning(
                    f"{dataset.ann_file}: {count} of {len(content['annotations'])} annotations are "
                    f"left out: {'; '.join(parts)}"
                )


def _coco_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """Data sets in COCO's format among those that one consists of."""
    if hasattr(dataset, "cat_ids") and "://" not in dataset.ann_file:
        yield dataset
    for part in [getattr(dataset, "dataset", None), *getattr(dataset, "datasets", [])]:
        if part is not None:
            yield from _coco_datasets(part)


def misnamed_classes(content: Mapping[str, Any], classes: Sequence[str]) -> Iterator[str]:
    """What is wrong with the classes of a config for mmdet's ``CocoDataset``.

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
    """Which annotations mmdet's ``CocoDataset`` leaves out.

    Args:
        content: Of the file.
        cat_ids: Categories that are among the classes of the data set.

    Returns:
        Ids of annotations, by what is wrong with them.
    """
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    found = defaultdict(list)
    for annotation in content["annotations"]:
        left, top, width, height = annotation["bbox"]
        image, category = images.get(annotation["image_id"]), annotation["category_id"]
        if image is None:
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
