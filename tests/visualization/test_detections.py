"""What a detector gets wrong, on cases made by hand."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pycocotools")

from mmsmlp.errors import PictureError
from mmsmlp.visualization import (
    confusion_matrix,
    draw_errors,
    ground_truth,
    largest_errors,
    match_detections,
    precision_recall,
    read_detections,
    save,
)

BOXES = {  # left, top, right, bottom; class; whether it is a crowd
    7: [((0, 0, 10, 10), 0, 0), ((20, 0, 40, 20), 1, 0), ((50, 50, 90, 90), 2, 1)],
    8: [((0, 0, 30, 30), 1, 0)],
}
FOUND = [  # image, box as left, top, width, height, id of the category, score
    (7, [0, 0, 10, 9], 11, 0.9),  # right
    (7, [20, 0, 20, 20], 11, 0.8),  # of another class
    (7, [55, 55, 20, 20], 13, 0.7),  # in a crowd of its class
    (8, [60, 60, 10, 10], 12, 0.6),  # nothing is there
    (8, [0, 0, 30, 30], 12, 0.2),  # right, but hardly sure
]


class Images:
    """As much of a data set of mmdet as is asked for."""

    metainfo = dict(classes=("a", "b", "c"))

    def __init__(self, folder: Path) -> None:
        self.paths = {i: str(folder / f"{i}.png") for i in BOXES}

    def __len__(self) -> int:
        return len(BOXES)

    def get_data_info(self, index: int) -> dict:
        image = list(BOXES)[index]
        instances = [
            dict(bbox=list(box), bbox_label=label, ignore_flag=crowd)
            for box, label, crowd in BOXES[image]
        ]
        return dict(img_id=image, img_path=self.paths[image], instances=instances)


@pytest.fixture
def case(tmp_path: Path) -> SimpleNamespace:
    cv2 = pytest.importorskip("cv2")
    images = Images(tmp_path)
    for path in images.paths.values():
        cv2.imwrite(path, np.full((100, 100, 3), 90, np.uint8))
    keys = ("image_id", "bbox", "category_id", "score")
    path = tmp_path / "found.bbox.json"
    path.write_text(json.dumps([dict(zip(keys, one, strict=True)) for one in FOUND]))
    truth = ground_truth(images)
    found = read_detections(path, truth, {11: 0, 12: 1, 13: 2})
    return SimpleNamespace(truth=truth, found=found, path=path)


def test_the_confusion_matrix_counts_each_once(case: SimpleNamespace) -> None:
    matrix = confusion_matrix(match_detections(case.truth, case.found), 3)
    expected = np.zeros((4, 4), int)
    expected[0, 0] = 1  # right
    expected[1, 0] = 1  # b taken for a
    expected[1, 3] = 1  # missed in image 8, where its score was too low
    expected[3, 1] = 1  # found where there is nothing
    np.testing.assert_array_equal(matrix, expected)
    expected[1, 3], expected[1, 1] = 0, 1
    sure = match_detections(case.truth, case.found, min_score=0.1)
    np.testing.assert_array_equal(confusion_matrix(sure, 3), expected)


def test_the_largest_errors_are_the_surest_and_the_largest(case: SimpleNamespace) -> None:
    errors = largest_errors(match_detections(case.truth, case.found), 5)
    assert {kind: len(cases) for kind, cases in errors.items()} == {
        "wrong class": 1,
        "false alarm": 1,
        "missed": 1,
    }
    assert errors["wrong class"][0].overlap == 1
    assert errors["false alarm"][0].found["score"] == 0.6
    assert errors["missed"][0].truth["area"] == 900


def test_precision_over_recall_is_that_of_the_definition(case: SimpleNamespace) -> None:
    curves = precision_recall(case.truth, case.found)
    # Class a: one object, found first. Class b: two objects, of which one is found, second.
    np.testing.assert_allclose(curves.at(0.5)[:, 0], np.ones(101))
    np.testing.assert_allclose(curves.at(0.5)[:, 1], [0.5] * 51 + [0.0] * 50)
    # The box of a overlaps by 0.9; a crowd is no object.
    assert curves.at(0.95)[:, 0].tolist() == [0.0] * 101
    assert np.isnan(curves.at(0.5)[:, 2]).all()


def test_the_sheet_is_drawn(case: SimpleNamespace, tmp_path: Path) -> None:
    matches = match_detections(case.truth, case.found)
    figure = draw_errors(case.truth, precision_recall(case.truth, case.found), matches, "a test")
    save(figure, tmp_path / "errors.png")
    assert (tmp_path / "errors.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "nothing was detected"),
        ("{", "holds no boxes in COCO's format"),
        ('[{"image_id": 7}]', "no 'category_id'"),
        (
            '[{"image_id": 9, "bbox": [0, 0, 1, 1], "category_id": 11, "score": 1}]',
            "is of other images than the test set, which has no image 9",
        ),
    ],
)
def test_a_file_of_something_else_is_named(case: SimpleNamespace, text: str, message: str) -> None:
    case.path.write_text(text)
    with pytest.raises(PictureError, match=message):
        read_detections(case.path, case.truth, {11: 0})
