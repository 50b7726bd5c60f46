"""What mmdet does to a data set in COCO's format without a word."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmsmlp.engine.hooks import AnnotationReportHook
from mmsmlp.engine.hooks.reports import left_out_annotations, misnamed_classes

NAMES = ["ball", "cone", "ring"]
CATEGORIES = [dict(id=10 * (i + 1), name=name) for i, name in enumerate(NAMES)]


def annotation(number: int, **changes: Any) -> dict[str, Any]:
    return dict(id=number, image_id=1, category_id=10, bbox=[2, 2, 8, 8], area=64, **changes)


def content(*changes: dict[str, Any]) -> dict[str, Any]:
    images = [dict(id=1, file_name="1.png", width=40, height=30)]
    annotations = [{**annotation(i), **change} for i, change in enumerate(changes, 1)]
    return dict(images=images, categories=CATEGORIES, annotations=annotations)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (dict(), None),
        (dict(image_id=7), "of image 7, which is not listed"),
        (dict(category_id=99), "of category 99, which is not listed"),
        (dict(category_id=30), "of category 'ring', which is not in metainfo.classes"),
        (dict(bbox=[8, 2, -6, 8]), "with an empty or inverted box"),
        (dict(area=0), "with an empty or inverted box"),
        (dict(bbox=[40, 2, 8, 8]), "with a box beyond its image"),
        (dict(bbox=[2, -9, 8, 8]), "with a box beyond its image"),
        (dict(bbox=[39, 29, 8, 8]), None),
    ],
)
def test_annotations_are_left_out_as_mmdet_does(
    change: dict[str, Any], what: str | None, tmp_path: Path
) -> None:
    data = content(dict(), change)
    assert left_out_annotations(data, [10, 20]) == ({what: [2]} if what else {})
    datasets = pytest.importorskip("mmdet.datasets")
    if "is not listed" in (what or ""):
        return  # there, pycocotools gives up or mmdet finds no image to put it on
    (tmp_path / "data.json").write_text(json.dumps(data))
    dataset = datasets.CocoDataset(
        ann_file=str(tmp_path / "data.json"),
        data_prefix=dict(img=""),
        metainfo=dict(classes=NAMES[:2]),
        test_mode=True,
    )
    assert len(dataset.get_data_info(0)["instances"]) == (1 if what else 2)


@pytest.mark.parametrize(
    ("classes", "lines"),
    [
        (["ball", "cone", "ring"], []),
        (["cone"], []),
        (["ball", "ring"], []),
        (["bal", "cone"], ["has 'bal', and no category is called so (nearest: 'ball')"]),
        (["ball", "xyz"], ["has 'xyz', and no category is called so;"]),
        (
            ["ring", "ball"],
            ["in the order ball, ring, and metainfo.classes in the order ring, ball"],
        ),
        (["ring", "bal", "cone"], ["has 'bal'", "in the order cone, ring,"]),
    ],
)
def test_classes_with_other_names_are_reported(classes: list[str], lines: list[str]) -> None:
    told = list(misnamed_classes(content(), classes))
    assert len(told) == len(lines)
    for line, expected in zip(told, lines, strict=True):
        assert expected in line


def test_it_is_reported_before_training_with_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps(content(dict(), dict(category_id=20))))
    dataset = SimpleNamespace(
        ann_file=str(file), cat_ids=[10], metainfo=dict(classes=["ball", "cones"])
    )
    wrapped = SimpleNamespace(dataset=dataset)
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=wrapped), logger=logging.getLogger("left out")
    )
    with caplog.at_level(logging.WARNING):
        AnnotationReportHook().before_train(runner)
    first, second = caplog.messages
    assert first.startswith(f"{file}: metainfo.classes has 'cones'")
    assert "(nearest: 'cone')" in first
    assert second.startswith(f"{file}: 1 of 2 annotations are left out: 1 of category 'cone'")
