"""Detections of a test and the ground truth, for pycocotools, and their match."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as boxes
from pycocotools.coco import COCO

from mmsmlp.checkpoints.io import unpickle_safely
from mmsmlp.errors import PictureError


def ground_truth(dataset: Any) -> COCO:
    """The objects of a data set, with labels as ids of their classes.

    Args:
        dataset: A detection data set of mmdet.
    """
    images, objects = [], []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        images.append(dict(id=info["img_id"], path=info["img_path"]))
        for instance in info["instances"]:
            left, top, right, bottom = instance["bbox"]
            objects.append(
                dict(
                    id=len(objects) + 1,
                    image_id=info["img_id"],
                    category_id=instance["bbox_label"],
                    bbox=[left, top, right - left, bottom - top],
                    area=(right - left) * (bottom - top),
                    iscrowd=int(instance["ignore_flag"]),
                )
            )
    classes = [dict(id=i, name=name) for i, name in enumerate(dataset.metainfo["classes"])]
    truth = COCO()
    truth.dataset = dict(images=images, annotations=objects, categories=classes)
    with silent():
        truth.createIndex()
    return truth


def read_detections(path: Path, truth: COCO, labels: Mapping[int, int]) -> COCO:
    """Detections that a test wrote.

    Args:
        path: A ``.pkl`` of ``tools/test.py --out``, or boxes in COCO's format as ``.json``.
        truth: Result of :func:`ground_truth`.
        labels: Label by the id of the category, for the latter.

    Raises:
        PictureError: If the file is none of these, or of other images.
    """
    found = _from_json(path, labels) if path.suffix == ".json" else _from_pickle(path)
    if not found:
        raise PictureError(f"{path}: nothing was detected")
    strange = {detection["image_id"] for detection in found} - set(truth.imgs)
    if strange:
        raise PictureError(
            f"{path} is of other images than the test set, which has no image {min(strange)}"
        )
    with silent():
        return truth.loadRes(found)


def _from_json(path: Path, labels: Mapping[int, int]) -> list[dict]:
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        return [
            dict(
                image_id=record["image_id"],
                category_id=labels[record["category_id"]],
                bbox=record["bbox"],
                score=record["score"],
            )
            for record in records
        ]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise PictureError(f"{path} holds no boxes in COCO's format: {reason}") from error


def _from_pickle(path: Path) -> list[dict]:
    try:
        with path.open("rb") as file:
            samples = unpickle_safely(file)
        return [
            dict(
                image_id=sample["img_id"],
                category_id=int(label),
                bbox=[left, top, right - left, bottom - top],
                score=score,
            )
            for sample in samples
            for label, score, (left, top, right, bottom) in zip(
                *(sample["pred_instances"][key].tolist() for key in ("labels", "scores", "bboxes")),
                strict=True,
            )
        ]
    except pickle.UnpicklingError as error:
        raise PictureError(f"{path} is no file of tools/test.py --out: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise PictureError(f"{path} holds no detections: {error!r}") from error


@dataclass(frozen=True)
class Match:
    """A detection and an object that belong together, or either alone.

    Args:
        image_id: Where.
        found: The detection, if any.
        truth: The object, if any.
        overlap: Of their boxes (IoU); for a single detection, with the object that it overlaps
            most.
    """

    image_id: Any
    found: dict | None
    truth: dict | None
    overlap: float = 0.0

    @property
    def labels(self) -> tuple[int | None, int | None]:
        """Class of the object and of the detection."""
        return tuple(one and one["category_id"] for one in (self.truth, self.found))


def match_detections(
    truth: COCO, found: COCO, min_score: float = 0.3, min_overlap: float = 0.5
) -> list[Match]:
    """Match detections and objects, one to one.

    In the order of their scores, each detection takes the object of its class that it overlaps
    most; the remaining ones then do so for any class. A crowd is no object, and a detection of its
    class in it is no error: both are ignored.

    Args:
        truth: Result of :func:`ground_truth`.
        found: Result of :func:`read_detections`.
        min_score: Of the detections to look at.
        min_overlap: IoU of a match.
    """
    matches = []
    for image_id in truth.imgs:
        detections = [one for one in found.imgToAnns[image_id] if one["score"] >= min_score]
        detections.sort(key=lambda one: -one["score"])
        matches += _match_image(image_id, detections, truth.imgToAnns[image_id], min_overlap)
    return matches


def _match_image(
    image_id: Any, detections: Sequence[dict], objects: Sequence[dict], min_overlap: float
) -> Iterator[Match]:
    crowd = [one["iscrowd"] for one in objects]
    overlaps = np.zeros((len(detections), len(objects)))
    if overlaps.size:
        sides = ([one["bbox"] for one in several] for several in (detections, objects))
        overlaps = boxes.iou(*sides, crowd)
    same = np.array(
        [[d["category_id"] == o["category_id"] for o in objects] for d in detections], dtype=bool
    ).reshape(overlaps.shape)
    free = ~np.array(crowd, dtype=bool)
    left = list(range(len(detections)))
    for allowed in (same, np.ones_like(same)):
        for i in list(left):
            candidates = np.where(allowed[i] & free & (overlaps[i] >= min_overlap), overlaps[i], 0)
            if candidates.any():
                j = int(candidates.argmax())
                yield Match(image_id, detections[i], objects[j], float(overlaps[i, j]))
                free[j] = False
                left.remove(i)
    for i in left:
        if not (same[i] & np.array(crowd, dtype=bool) & (overlaps[i] >= min_overlap)).any():
            yield Match(image_id, detections[i], None, float(overlaps[i].max(initial=0)))
    for j in np.flatnonzero(free):
        yield Match(image_id, None, objects[j])


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Within, pycocotools prints nothing."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
