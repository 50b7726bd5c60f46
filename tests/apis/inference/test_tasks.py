"""What becomes of predictions."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmsmlp.apis.inference.tasks import Classification, Detection, Segmentation, chosen_labels
from mmsmlp.errors import UsageError

META = dict(classes=("cat", "dog", "bird"), palette=[(200, 0, 0), (0, 200, 0), (0, 0, 200)])


def instances(**more: object) -> InstanceData:
    return InstanceData(
        bboxes=torch.tensor([[2.0, 3, 12, 23], [5, 5, 15, 10], [0, 0, 40, 30]]),
        labels=torch.tensor([0, 2, 1]),
        scores=torch.tensor([0.9, 0.5, 0.2]),
        **more,
    )


def grey() -> np.ndarray:
    return np.full((30, 40, 3), 100, dtype=np.uint8)


@pytest.mark.parametrize(
    ("names", "threshold", "expected"),
    [
        (None, 0.3, [0, 1]),
        (None, 0.2, [0, 1, 2]),
        (["dog", "bird"], 0.0, [1, 2]),
        (["cat"], 0.95, []),
    ],
)
def test_detections_of_low_scores_and_other_classes_go(
    tmp_path: Path, names: list[str] | None, threshold: float, expected: list[int]
) -> None:
    pytest.importorskip("mmdet")
    task = Detection(META, names, threshold)
    kept = task.kept(instances())
    assert kept.scores.tolist() == instances().scores[expected].tolist()
    results = task.results(kept, tmp_path, "")
    boxes = [[2, 3, 10, 20], [5, 5, 10, 5], [0, 0, 40, 30]]
    assert [r["bbox"] for r in results] == [boxes[i] for i in expected]
    names_by_id = {one["id"]: one["name"] for one in task.categories()}
    found = [names_by_id[r["category_id"]] for r in results]
    assert found == [("cat", "bird", "dog")[i] for i in expected]


def test_masks_are_runs_of_pixels(tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    masks = torch.zeros(3, 30, 40, dtype=torch.bool)
    masks[0, 3:23, 2:12] = masks[1, ::2, 5:9] = True
    prediction = instances(masks=masks)
    prediction.bboxes = torch.zeros(3, 4)  # as of SOLO
    for result, mask in zip(
        Detection(META).results(prediction, tmp_path, ""), masks.numpy(), strict=True
    ):
        assert isinstance(result["segmentation"]["counts"], str)
        np.testing.assert_array_equal(coco_mask.decode(result["segmentation"]), mask)
        rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
        if len(rows):
            size = [np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert result["bbox"] == [columns[0], rows[0], *size]


def test_detections_are_drawn_where_they_are() -> None:
    pytest.importorskip("mmdet")
    task = Detection(META, threshold=0.6, style=dict(line_width=1, type="X", vis_backends=[]))
    drawn = task.drawn(grey(), task.kept(instances()))
    assert drawn.shape == (30, 40, 3) and drawn.dtype == np.uint8
    # OpenCV has red last.
    assert drawn[15, 2, 2] > drawn[15, 2, 0] + 50
    np.testing.assert_array_equal(drawn[25:], grey()[25:])


def test_pixels_of_other_classes_become_none(tmp_path: Path) -> None:
    found = np.zeros((30, 40), dtype=np.int64)
    found[10:] = 2
    every, birds = Segmentation(META), Segmentation(META, ["bird"])
    (result,) = every.results(every.kept(found.copy()), tmp_path, "a/1")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "maps/a/1.png"), -1), found)
    assert result == dict(index_map="maps/a/1.png")
    assert every.categories()[2] == dict(id=2, name="bird")
    kept = birds.kept(found.copy())
    np.testing.assert_array_equal(kept, np.where(found == 2, 2, 255))

    drawn = birds.drawn(grey(), kept)
    np.testing.assert_array_equal(drawn[:10], 100)
    assert drawn[-1, -1].tolist() == [160, 40, 40]  # 0.4 · 100 + 0.6 · (200, 0, 0), in BGR
    assert every.drawn(grey(), found)[0, 0].tolist() == [40, 40, 160]


def test_many_classes_fit_into_an_index_map(tmp_path: Path) -> None:
    task = Segmentation(dict(classes=[str(i) for i in range(400)]), ["399"])
    found = np.arange(1200).reshape(30, 40) % 400
    task.results(task.kept(found), tmp_path, "a")
    there = cv2.imread(str(tmp_path / "maps/a.png"), -1)
    np.testing.assert_array_equal(there, np.where(found == 399, 399, 65535))


def test_a_class_is_the_best_of_those_wanted(tmp_path: Path) -> None:
    scores = np.array([0.2, 0.7, 0.1])
    task = Classification(META)
    assert task.results(task.kept(scores), tmp_path, "") == [
        {"category_id": 1, "class": "dog", "score": 0.7}
    ]
    assert Classification(META, ["bird", "cat"]).kept(scores) == (0, 0.2)
    assert Classification({}).results((5, 0.1), tmp_path, "")[0]["class"] == "class 5"
    drawn = task.drawn(grey(), (1, 0.7))
    assert drawn.shape == (30, 40, 3)
    changed = (drawn != 100).any(axis=2)
    assert changed[:8, :20].any() and not changed[-5:].any()


def test_an_unknown_class_is_named() -> None:
    assert chosen_labels(["dog", "cat"], META["classes"]) == {0, 1}
    assert chosen_labels(None, META["classes"]) == {0, 1, 2}
    with pytest.raises(UsageError, match="there is no class 'dogg'; did you mean dog"):
        chosen_labels(["cat", "dogg"], META["classes"])
    with pytest.raises(UsageError, match=r"no class 'x'; there are: cat, dog, bird$"):
        chosen_labels(["x"], META["classes"])
    with pytest.raises(UsageError, match=r"no class 'x'; there are: no names known$"):
        chosen_labels(["x"], [])
