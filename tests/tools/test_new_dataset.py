"""From a folder of images and a json to a config that trains."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.conftest import OWN_DATA  # isort: skip
from tests.tools.test_train import tool  # isort: skip

from mmsmlp.errors import UsageError

pytest.importorskip("mmdet")
SQUARE = [[4, 5, 20, 5, 20, 15, 4, 15]]


@pytest.fixture
def new_dataset(
    own_images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Config]:
    """The tool in a folder with ``images`` and ``boxes.json``; gives the config it writes."""
    monkeypatch.chdir(tmp_path)
    Path("images").symlink_to(own_images)
    Path("boxes.json").write_text(json.dumps(OWN_DATA))
    run = tool("new_dataset")

    def main(*arguments: object) -> Config:
        run(*arguments, "--out", "mine.py")
        return Config.fromfile("mine.py")

    return main


def datasets(cfg: Config) -> list[Any]:
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    init_default_scope("mmdet")
    return [DATASETS.build(cfg[f"{split}_dataloader"].dataset) for split in ("train", "val")]


def test_boxes_of_one_json_become_a_config_of_faster_rcnn(
    new_dataset: Callable, capsys: pytest.CaptureFixture
) -> None:
    cfg = new_dataset("images", "boxes.json")
    assert capsys.readouterr().out.splitlines() == [
        "boxes.json: 10 images, 10 boxes (cat 5, dog 5), without masks",
        "to train on: 8 images, 8 boxes (cat 5, dog 3)",
        "to evaluate on: 2 images, 2 boxes (cat 0, dog 2)",
        "  classes without a box to evaluate on: 1 (cat)",
        "written: mine_train.json",
        "written: mine_val.json",
        "written: mine.py, Faster R-CNN; next: python -m mmsmlp train mine.py",
    ]
    train, val = datasets(cfg)
    assert (len(train), len(val)) == (8, 2)
    assert train.metainfo["classes"] == val.metainfo["classes"] == ("cat", "dog")
    sample = train[0]
    assert tuple(sample["inputs"].shape) == (3, 48, 64)
    assert len(sample["data_samples"].gt_instances) == 1
    assert (cfg.model.type, cfg.model.roi_head.mask_head) == ("FasterRCNN", None)
    assert cfg.model.roi_head.bbox_head.num_classes == 2
    assert (cfg.val_evaluator.metric, cfg.val_evaluator.ann_file) == ("bbox", "mine_val.json")
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(2e-4)
    assert json.loads(Path("boxes.json").read_text()) == OWN_DATA


def test_masks_of_two_jsons_become_a_config_of_mask_rcnn(new_dataset: Callable) -> None:
    data = copy.deepcopy(OWN_DATA)
    for entry in data["annotations"]:
        entry["segmentation"] = SQUARE
    Path("train.json").write_text(json.dumps(data))
    # With its classes in another order, and an image that is not there.
    data["categories"].reverse()
    data["images"][0]["file_name"] = "gone.png"
    Path("val.json").write_text(json.dumps(data))
    options = ["--backbone", "s2mlpv2_s4", "--batch-size", 8]
    cfg = new_dataset("images", "train.json", "--val", "images", "val.json", *options)
    assert cfg.train_dataloader.dataset.ann_file == "train.json"
    assert cfg.val_dataloader.dataset.ann_file == "mine_val.json"
    train, val = datasets(cfg)
    assert (len(train), len(val)) == (10, 9)
    assert train[0]["data_samples"].gt_instances.masks.masks.any()
    (mine,), (theirs,) = (part.get_data_info(-1)["instances"] for part in (train, val))
    assert mine["bbox_label"] == theirs["bbox_label"] == 0
    assert cfg.model.type == "MaskRCNN" and cfg.model.backbone.type == "mmsmlp.S2MLPv2"
    assert cfg.model.roi_head.mask_head.num_classes == 2
    assert cfg.val_evaluator.metric == ["bbox", "segm"]
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 8
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(4e-4)


def test_the_same_images_on_both_sides_are_told(
    new_dataset: Callable, capsys: pytest.CaptureFixture
) -> None:
    new_dataset("images", "boxes.json", "--val", "images", "boxes.json")
    told = "images to train on and to evaluate on: 10 (0.png, 1.png, 2.png and 7 more)"
    assert told in capsys.readouterr().out.splitlines()


def test_classes_that_one_side_lacks_are_told(
    new_dataset: Callable, capsys: pytest.CaptureFixture
) -> None:
    data = copy.deepcopy(OWN_DATA)
    data["categories"].append(dict(id=3, name="emu"))
    data["annotations"][0]["category_id"] = 3
    Path("boxes.json").write_text(json.dumps(data))
    new_dataset("images", "boxes.json")
    assert "  classes without a box to train on: 1 (emu)" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images", "none.json"], "none.json: it cannot be read: .*No such file"),
        (["nowhere", "boxes.json"], "there is no folder 'nowhere'"),
        (["images", "boxes.json", "--classes", "dogs"], "no class 'dogs'; did you mean dog"),
        (["images", "boxes.json", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["images", "boxes.json", "--val-share", "1"], "--val-share must be between 0 and 1"),
        (["images", "boxes.json", "--out", "mine.txt"], r"--out must end in \.py"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line_and_nothing_is_written(
    new_dataset: Callable, arguments: list[str], message: str
) -> None:
    before = sorted(Path().iterdir())
    with pytest.raises(UsageError, match=message) as error:
        tool("new_dataset")(*(["--out", "mine.py"] if "--out" not in arguments else []), *arguments)
    assert "\n" not in str(error.value) and sorted(Path().iterdir()) == before


def test_files_that_exist_are_replaced_only_if_asked_to(new_dataset: Callable) -> None:
    Path("mine.py").write_text("mine = 1")
    with pytest.raises(UsageError, match="--force replaces it"):
        new_dataset("images", "boxes.json")
    assert new_dataset("images", "boxes.json", "--force").classes == ("cat", "dog")
