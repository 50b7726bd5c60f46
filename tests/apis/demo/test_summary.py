"""What predictions made by hand say."""

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, LabelData, PixelData

from mmsmlp.apis.demo.models import Prediction
from mmsmlp.apis.demo.summary import describe

CLASSES = ["cat", "dog"]


def prediction(scale: float = 1, **data: object) -> Prediction:
    image = np.zeros((10, 20, 3), np.uint8)
    return Prediction(BaseDataElement(**data), image, scale, (10, 20), False, 0.1)


def objects(scores: list[float], masks: bool = True) -> InstanceData:
    count = len(scores)
    data = dict(
        scores=torch.tensor(scores),
        labels=torch.arange(count) % 3,
        bboxes=torch.tensor([[2.0, 4, 8, 10]]).repeat(count, 1),
    )
    if masks:
        data["masks"] = torch.zeros(count, 10, 20, dtype=torch.bool)
        data["masks"][:, :5, :4] = True
    return InstanceData(**data)


def test_objects_come_by_score_in_pixels_of_the_original() -> None:
    found = describe(prediction(2, pred_instances=objects([0.4, 0.9, 0.5, 0.2])), CLASSES, 0.3)
    assert found.line == "3 objects with a score above 0.3"
    assert found.headers == ["class", "score", "x, y, w, h", "area (%)"]
    assert found.rows == [
        ["dog", 0.9, "1, 2, 3, 3", 10.0],
        ["class 2", 0.5, "1, 2, 3, 3", 10.0],
        ["cat", 0.4, "1, 2, 3, 3", 10.0],
    ]


def test_boxes_alone_have_no_mask() -> None:
    found = describe(prediction(pred_instances=objects([0.9], masks=False)), CLASSES, 0.5)
    assert found.line == "1 object with a score above 0.5"
    assert found.rows == [["cat", 0.9, "2, 4, 6, 6"]]


@pytest.mark.parametrize(
    ("scores", "line"),
    [
        ([], "No object was found"),
        ([0.12, 0.2], "No object has a score above 0.3; the highest is 0.20"),
    ],
)
def test_images_without_objects_are_counted_separately(scores: list[float], line: str) -> None:
    found = describe(prediction(pred_instances=objects(scores)), CLASSES, 0.3)
    assert (found.line, found.rows) == (line, [])


def test_a_long_list_is_shortened_with_a_note() -> None:
    found = describe(prediction(pred_instances=objects([0.9] * 60)), CLASSES, 0.3)
    assert len(found.rows) == 50
    assert found.line == "60 objects with a score above 0.3, of which the first 50 are listed"


def test_classes_of_pixels_have_a_part_of_the_image() -> None:
    labels = torch.zeros(1, 4, 10, dtype=torch.long)
    labels[:, :3] = 1
    found = describe(prediction(pred_sem_seg=PixelData(data=labels)), CLASSES, 0.3)
    assert found == ("2 classes", ["class", "area (%)"], [["dog", 75.0], ["cat", 25.0]])


def test_panoptic_segments_count_by_class() -> None:
    ids = torch.tensor([[[1001, 2001, 0, 1]]])
    found = describe(prediction(pred_panoptic_seg=PixelData(sem_seg=ids)), CLASSES, 0.3)
    assert found.rows == [["dog", 75.0], ["cat", 25.0]]


def test_the_likeliest_classes_are_ranked() -> None:
    scores = torch.tensor([0.1, 0.3, 0.05, 0.25, 0.2, 0.1])
    found = describe(prediction(pred_score=scores, gt=LabelData()), CLASSES, 0.3)
    assert found.line == "Most likely: dog"
    assert [row[0] for row in found.rows] == ["dog", "class 3", "class 4", "cat", "class 5"]
    assert [row[1] for row in found.rows] == [0.3, 0.25, 0.2, 0.1, 0.1]
