import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmsmlp.datasets.mini import CLASSES, PALETTE

SPLITS = ("train", "val")


@pytest.fixture(params=SPLITS)
def split(request):
    return request.param


@pytest.fixture
def coco(mini, split):
    return COCO(mini / "annotations" / f"instances_{split}.json")


def read_semantic(mini, split, name):
    path = mini / "semantic" / split / name.replace(".jpg", ".png")
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_masks_are_disjoint_and_make_up_the_index_map(mini, split, coco):
    for image in coco.loadImgs(coco.getImgIds()):
        photo = cv2.imread(str(mini / "images" / split / image["file_name"]))
        assert photo.shape == (image["height"], image["width"], 3)
        expected = np.zeros(photo.shape[:2], np.uint8)
        annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert annotations
        for annotation in annotations:
            mask = coco.annToMask(annotation).astype(bool)
            assert not expected[mask].any(), "visible parts overlap"
            expected[mask] = annotation["category_id"]
        semantic = read_semantic(mini, split, image["file_name"])
        assert semantic.dtype == np.uint8
        np.testing.assert_array_equal(semantic, expected)


def test_boxes_and_areas_are_those_of_the_masks(coco):
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x, y = columns[0], rows[0]
        assert annotation["bbox"] == [x, y, columns[-1] - x + 1, rows[-1] - y + 1]
        assert annotation["area"] == mask.sum() > 0
        assert annotation["iscrowd"] == 0


def test_every_class_appears(mini):
    seen = set()
    for split in SPLITS:
        coco = COCO(mini / "annotations" / f"instances_{split}.json")
        assert [coco.cats[i]["name"] for i in range(1, 6)] == list(CLASSES)
        seen |= {annotation["category_id"] for annotation in coco.anns.values()}
    assert seen == {1, 2, 3, 4, 5}


def test_the_truth_scores_one(coco):
    results = [
        {key: truth[key] for key in ("image_id", "category_id", "segmentation")} | {"score": 1.0}
        for truth in coco.loadAnns(coco.getAnnIds())
    ]
    evaluation = COCOeval(coco, coco.loadRes(results), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_mmdet_reads_it(mini, split, coco):
    pytest.importorskip("mmdet")
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    data = DATASETS.build(
        {
            "type": "mmdet.CocoDataset",
            "data_root": str(mini),
            "ann_file": f"annotations/instances_{split}.json",
            "data_prefix": {"img": f"images/{split}"},
            "metainfo": {"classes": CLASSES, "palette": PALETTE[1:]},
            "filter_cfg": {"filter_empty_gt": True, "min_size": 32},
            "pipeline": [
                {"type": "mmdet.LoadImageFromFile"},
                {"type": "mmdet.LoadAnnotations", "with_bbox": True, "with_mask": True},
            ],
        }
    )
    assert len(data) == len(coco.imgs)
    sample = data[1]
    truth = coco.loadAnns(coco.getAnnIds(sample["img_id"]))
    assert sample["gt_bboxes_labels"].tolist() == [item["category_id"] - 1 for item in truth]
    for mask, item in zip(sample["gt_masks"].masks, truth, strict=True):
        np.testing.assert_array_equal(mask, coco.annToMask(item))


def test_mmseg_reads_it(mini, split, coco):
    pytest.importorskip("mmseg")
    from mmseg.datasets import BaseSegDataset

    data = BaseSegDataset(
        data_root=str(mini),
        data_prefix={"img_path": f"images/{split}", "seg_map_path": f"semantic/{split}"},
        img_suffix=".jpg",
        seg_map_suffix=".png",
        metainfo={"classes": ("background", *CLASSES), "palette": PALETTE},
        pipeline=[{"type": "mmseg.LoadImageFromFile"}, {"type": "mmseg.LoadAnnotations"}],
    )
    assert len(data) == len(coco.imgs)
    sample = data[0]
    expected = read_semantic(mini, split, "000000.png")
    np.testing.assert_array_equal(sample["gt_seg_map"], expected)
    assert sample["img"].shape[:2] == expected.shape


def test_mmpretrain_reads_it(mini, split):
    pytest.importorskip("mmpretrain")
    from mmpretrain.datasets import CustomDataset

    data = CustomDataset(data_root=str(mini), data_prefix=f"classification/{split}", pipeline=[])
    assert tuple(data.CLASSES) == CLASSES
    counts = np.bincount(data.get_gt_labels(), minlength=len(CLASSES))
    meta = json.loads((mini / "meta.json").read_text())
    assert counts.tolist() == [meta["portraits_per_class"][split]] * len(CLASSES)
