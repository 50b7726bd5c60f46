"""What becomes of predictions."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from pycocotools import mask as coco_mask
from torch import nn

from mmsmlp.apis.inference import Task, build_task, chosen_labels
from mmsmlp.errors import UsageError

META = dict(classes=("cat", "dog", "bird"), palette=[(200, 0, 0), (0, 200, 0), (0, 0, 200)])


def task_of(scope: str, names: list[str] | None = None, meta: dict = META, **options) -> Task:
    pytest.importorskip(scope)
    cfg = Config(dict(default_scope=scope, **options.pop("cfg", {})))
    return build_task(cfg, options.pop("model", nn.Module()), meta, names, **options)


def instances(**more: object) -> BaseDataElement:
    from mmdet.structures import DetDataSample

    found = InstanceData(
        bboxes=torch.tensor([[2.0, 3, 12, 23], [5, 5, 15, 10], [0, 0, 40, 30]]),
        labels=torch.tensor([0, 2, 1]),
        scores=torch.tensor([0.9, 0.5, 0.2]),
        **more,
    )
    return DetDataSample(pred_instances=found)


def pixels(labels: np.ndarray) -> BaseDataElement:
    from mmseg.structures import SegDataSample

    return SegDataSample(pred_sem_seg=PixelData(data=torch.from_numpy(labels)[None]))


def scored(scores: list[float], labels: list[int]) -> BaseDataElement:
    from mmpretrain.structures import DataSample

    return DataSample().set_pred_score(torch.tensor(scores)).set_pred_label(torch.tensor(labels))


def grey() -> np.ndarray:
    return np.full((30, 40, 3), 100, dtype=np.uint8)


@pytest.mark.parametrize(
    ("names", "threshold", "expected"),
    [
        (None, None, [0, 1]),
        (None, 0.2, [0, 1, 2]),
        (["dog", "bird"], 0.0, [1, 2]),
        (["cat"], 0.95, []),
    ],
)
def test_detections_of_low_scores_and_other_classes_go(
    tmp_path: Path, names: list[str] | None, threshold: float | None, expected: list[int]
) -> None:
    task = task_of("mmdet", names, threshold=threshold)
    before = instances()
    kept = task.filter(before)
    assert len(before.pred_instances) == 3
    scores = before.pred_instances.scores[expected]
    assert kept.pred_instances.scores.tolist() == scores.tolist()
    results = task.results(kept, tmp_path, "")
    boxes = [[2, 3, 10, 20], [5, 5, 10, 5], [0, 0, 40, 30]]
    assert [r["bbox"] for r in results] == [boxes[i] for i in expected]
    names_by_id = {one["id"]: one["name"] for one in task.categories()}
    found = [names_by_id[r["category_id"]] for r in results]
    assert found == [("cat", "bird", "dog")[i] for i in expected]


def test_masks_are_runs_of_pixels(tmp_path: Path) -> None:
    task = task_of("mmdet")
    masks = torch.zeros(3, 30, 40, dtype=torch.bool)
    masks[0, 3:23, 2:12] = masks[1, ::2, 5:9] = True
    prediction = instances(masks=masks)
    prediction.pred_instances.bboxes = torch.zeros(3, 4)  # as of SOLO
    for result, mask in zip(task.results(prediction, tmp_path, ""), masks.numpy(), strict=True):
        assert isinstance(result["segmentation"]["counts"], str)
        np.testing.assert_array_equal(coco_mask.decode(result["segmentation"]), mask)
        rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
        if len(rows):
            size = [np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert result["bbox"] == [columns[0], rows[0], *size]


def test_detections_are_drawn_where_they_are() -> None:
    visualizer = dict(type="DetLocalVisualizer", line_width=1)
    task = task_of("mmdet", threshold=0.6, cfg=dict(visualizer=visualizer))
    drawn = task.draw(grey(), task.filter(instances()))
    assert drawn.shape == (30, 40, 3) and drawn.dtype == np.uint8
    # OpenCV has red last.
    assert drawn[15, 2, 2] > drawn[15, 2, 0] + 50
    np.testing.assert_array_equal(drawn[25:], grey()[25:])


def test_pixels_of_other_classes_become_none(tmp_path: Path) -> None:
    found = np.zeros((30, 40), dtype=np.int64)
    found[10:] = 2
    every, birds = task_of("mmseg"), task_of("mmseg", ["bird"])
    (result,) = every.results(every.filter(pixels(found)), tmp_path, "a/1")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "maps/a/1.png"), -1), found)
    assert result == dict(index_map="maps/a/1.png")
    assert every.categories()[2] == dict(id=2, name="bird")
    kept = birds.filter(pixels(found))
    birds.results(kept, tmp_path, "b")
    there = cv2.imread(str(tmp_path / "maps/b.png"), -1)
    np.testing.assert_array_equal(there, np.where(found == 2, 2, 255))
    drawn = birds.draw(grey(), kept)
    assert drawn[-1, -1, 0] > 150 and np.ptp(drawn[0, 0]) == 0  # blue comes first in BGR
    drawn = every.draw(grey(), pixels(found))
    assert drawn[0, -1, 2] > 150


def test_many_classes_fit_into_an_index_map(tmp_path: Path) -> None:
    task = task_of("mmseg", ["399"], dict(classes=[str(i) for i in range(400)]))
    found = np.arange(1200).reshape(30, 40) % 400
    task.results(task.filter(pixels(found)), tmp_path, "a")
    there = cv2.imread(str(tmp_path / "maps/a.png"), -1)
    np.testing.assert_array_equal(there, np.where(found == 399, 399, 65535))


def test_a_class_is_the_best_of_those_wanted(tmp_path: Path) -> None:
    sample = scored([0.2, 0.7, 0.1], [1])
    task = task_of("mmpretrain")
    (result,) = task.results(task.filter(sample), tmp_path, "")
    assert result == {"category_id": 1, "class": "dog", "score": pytest.approx(0.7)}
    task = task_of("mmpretrain", ["bird", "cat"])
    (result,) = task.results(task.filter(sample), tmp_path, "")
    assert result == {"category_id": 0, "class": "cat", "score": pytest.approx(0.2)}
    drawn = task.draw(grey(), sample)
    assert drawn.shape == (30, 40, 3) and (drawn != 100).any()


def test_classes_without_names_have_numbers(tmp_path: Path) -> None:
    model = nn.Module()
    model.head = nn.Module()
    model.head.num_classes = 3
    task = task_of("mmpretrain", None, {}, model=model)
    assert task.results(scored([0.2, 0.7, 0.1], [1]), tmp_path, "")[0]["class"] == "class 1"


def test_a_model_of_several_labels_gives_each(tmp_path: Path) -> None:
    pytest.importorskip("mmpretrain")
    from mmpretrain.models import MultiLabelLinearClsHead

    model = nn.Module()
    model.head = MultiLabelLinearClsHead(3, 4)
    sample = scored([0.9, 0.1, 0.8], [0, 2])
    for names, expected in ((None, [0, 2]), (["bird", "dog"], [2]), (["dog"], [])):
        task = task_of("mmpretrain", names, model=model)
        results = task.results(task.filter(sample), tmp_path, "")
        assert [result["category_id"] for result in results] == expected


def test_a_prediction_of_another_kind_is_refused() -> None:
    with pytest.raises(
        UsageError, match="there are no files for this model's predictions: pred_in"
    ):
        task_of("mmseg").filter(instances())
    with pytest.raises(UsageError, match="--score-thr is for detectors"):
        task_of("mmseg", threshold=0.5)


def test_an_unknown_class_is_named() -> None:
    assert chosen_labels(["dog", "cat"], META["classes"]) == [0, 1]
    assert chosen_labels(None, META["classes"]) == [0, 1, 2]
    with pytest.raises(UsageError, match="there is no class 'dogg'; did you mean dog"):
        chosen_labels(["cat", "dogg"], META["classes"])
    with pytest.raises(UsageError, match=r"no class 'x'; there are: cat, dog, bird$"):
        chosen_labels(["x"], META["classes"])
    with pytest.raises(UsageError, match=r"no class 'x'; there are: no names known$"):
        chosen_labels(["x"], [])
