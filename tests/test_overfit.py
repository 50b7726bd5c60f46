"""Overfitting a few photos: which they are, that nothing of them is random, and how they score."""

import importlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from torch.utils.data import Dataset

FOLDER = Path(__file__).parents[1] / "configs" / "experiments"
COCO = Config.fromfile(FOLDER / "overfit_coco_smlpnet_t.py")
ADE = Config.fromfile(FOLDER / "overfit_ade_smlpnet_t.py")


def registry(cfg: Config, kind: str) -> Any:
    """Where the library of a config finds what is of a kind; its scope becomes the default."""
    pytest.importorskip(cfg.default_scope)
    init_default_scope(cfg.default_scope)
    return getattr(importlib.import_module(f"{cfg.default_scope}.registry"), kind)


def datasets(cfg: Config, root: Path) -> list[Dataset]:
    """Those of training and validation, with their data elsewhere."""
    build = registry(cfg, "DATASETS").build
    configs = [cfg[f"{split}_dataloader"].dataset for split in ("train", "val")]
    return [build(dict(dataset, data_root=str(root))) for dataset in configs]


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo with a polygon, one with a mask as RLE, and one with a crowd beside an object."""
    root = tmp_path_factory.mktemp("coco")
    (root / "train2017").mkdir()
    (root / "annotations").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    for i in range(3):
        cv2.imwrite(str(root / "train2017" / f"{i}.jpg"), noise)
    # Columns 10 to 49 of all 96 rows, as runs of zeros and ones down the columns.
    columns = dict(size=[96, 128], counts=[960, 3840, 7488])
    box = dict(bbox=[10, 0, 40, 96], area=3840, iscrowd=0)
    annotations = [
        dict(box, image_id=0, segmentation=[[10, 0, 50, 0, 50, 96, 10, 96]], category_id=1),
        dict(box, image_id=1, segmentation=columns, category_id=90),
        dict(box, image_id=2, segmentation=columns, category_id=18),
        dict(box, image_id=2, segmentation=columns, category_id=18, iscrowd=1),
    ]
    names = pytest.importorskip("mmdet.datasets").CocoDataset.METAINFO["classes"]
    # COCO's ids of categories have gaps; these are of its first, 17th and last.
    ids = {0: 1, 16: 18, 79: 90}
    content = dict(
        images=[dict(id=i, file_name=f"{i}.jpg", width=128, height=96) for i in range(3)],
        annotations=[dict(annotation, id=1 + i) for i, annotation in enumerate(annotations)],
        categories=[dict(id=ids.get(i, 100 + i), name=name) for i, name in enumerate(names)],
    )
    (root / "annotations" / "instances_first16.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def ade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos, of which three are to be taken, with labels 0 (none), 1 and 150."""
    root = tmp_path_factory.mktemp("ade")
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 20:50], labels[:, 50:] = 1, 150
    for file in ("images/validation/{}.jpg", "annotations/validation/{}.png"):
        (root / file).parent.mkdir(parents=True)
        for i in (4, 3, 2, 1):
            cv2.imwrite(str(root / file.format(f"ADE_val_{i:08}")), labels)
    return root


def test_the_16_photos_are_trained_and_tested_on_as_they_are(coco: Path) -> None:
    assert COCO.val_evaluator.ann_file == "data/coco/annotations/instances_first16.json"
    assert COCO.test_evaluator == COCO.val_evaluator
    assert COCO.test_dataloader == COCO.val_dataloader
    train, val = datasets(COCO, coco)
    for first, again, tested in zip(train, train, val, strict=True):
        assert first["inputs"].shape == (3, 240, 320)
        assert torch.equal(first["inputs"], again["inputs"])
        assert torch.equal(first["inputs"], tested["inputs"])
    samples = [item["data_samples"] for item in train]
    assert [sample.gt_instances.labels.tolist() for sample in samples] == [[0], [79], [16]]
    assert [len(sample.ignored_instances) for sample in samples] == [0, 0, 1]
    for sample in samples:
        assert sample.gt_instances.bboxes.tensor.tolist() == [[25.0, 0.0, 125.0, 240.0]]
        assert sample.gt_instances.masks.masks.sum() == pytest.approx(100 * 240, rel=0.02)


def test_it_stays_the_detector_of_the_recipe_and_its_evaluation() -> None:
    full = Config.fromfile(FOLDER.parent / "mask_rcnn_smlpnet_t.py")
    model = COCO.model
    assert model.type == full.model.type
    assert model.backbone == dict(full.model.backbone, drop_path_rate=0.0)
    assert model.roi_head.bbox_head == full.model.roi_head.bbox_head
    assert model.roi_head.bbox_head.num_classes == model.roi_head.mask_head.num_classes == 80
    assert model.test_cfg.rcnn == full.model.test_cfg.rcnn
    assert COCO.val_evaluator == dict(full.val_evaluator, ann_file=COCO.val_evaluator.ann_file)


def test_the_truth_scores_one_and_a_shifted_truth_less(coco: Path) -> None:
    metric = registry(COCO, "METRICS").build(
        dict(COCO.val_evaluator, ann_file=str(coco / "annotations" / "instances_first16.json"))
    )
    _, val = datasets(COCO, coco)
    metric.dataset_meta = val.metainfo
    figures = []
    for shift in (0, 8):
        for item in val:
            sample = item["data_samples"]
            truth = sample.gt_instances
            predicted = dict(
                bboxes=truth.bboxes.tensor + shift,
                scores=torch.ones(len(truth)),
                labels=truth.labels,
                masks=np.roll(truth.masks.masks, shift, axis=2).astype(bool),
            )
            entry = dict(
                img_id=sample.img_id,
                ori_shape=sample.ori_shape,
                pred_instances={key: torch.as_tensor(value) for key, value in predicted.items()},
            )
            metric.process({}, [entry])
        figures.append(metric.evaluate(len(val)))
    exact, shifted = figures
    # Three classes of 80 are there; the others do not count, and the crowd is not to be found.
    assert exact["coco/bbox_mAP"] == exact["coco/segm_mAP"] == pytest.approx(1.0)
    assert 0 < shifted["coco/bbox_mAP"] < 0.7 and 0 < shifted["coco/segm_mAP"] < 0.7


def test_the_three_photos_are_trained_and_tested_on_as_they_are(ade: Path) -> None:
    train, val = datasets(ADE, ade)
    assert ADE.train_dataloader.batch_size == len(train) == len(val) == 3
    for first, again, tested in zip(train, train, val, strict=True):
        assert first["inputs"].shape == (3, 256, 341)
        assert torch.equal(first["inputs"], again["inputs"])
        assert torch.equal(first["inputs"], tested["inputs"])
        assert tested["data_samples"].gt_sem_seg.shape == (60, 80)
    names = [Path(item["data_samples"].img_path).name for item in train]
    assert names == [f"ADE_val_{i:08}.jpg" for i in (1, 2, 3)]


def test_classes_that_are_absent_count_only_where_they_are_predicted(ade: Path) -> None:
    metric = registry(ADE, "METRICS").build(ADE.val_evaluator)
    _, val = datasets(ADE, ade)
    metric.dataset_meta = val.metainfo

    def score(change: bool) -> float:
        for item in val:
            sample = item["data_samples"]
            labels = sample.gt_sem_seg.data.clone()
            if change:
                labels[labels == 149] = 7
            sample.pred_sem_seg = PixelData(data=labels)
            metric.process({}, [sample.to_dict()])
        return metric.evaluate(len(val))["mIoU"]

    assert score(change=False) == 100
    # Of three classes that are there or predicted, one is right.
    assert score(change=True) == pytest.approx(100 / 3, abs=0.01)
