"""Small networks, configs and data sets, and tools run in the test's own process."""

import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _pytest.mark import ParameterSet

ROOT = Path(__file__).parents[1]
# The reference that the authors' implementation of sMLPNet gave, and the network it is of.
SPACH_GOLDEN = ROOT / "tests" / "data" / "spach_smlpnet_mini.npz"
CYCLEMLP_GOLDEN = ROOT / "tests" / "data" / "cyclemlp_mini.npz"
SPACH_NETWORK = dict(
    arch=dict(embed_dims=(8, 16, 32, 64), depths=(1, 2, 2, 1), mlp_ratio=3), img_size=64
)
TINY_MINI = dict(scenes=(8, 5), portraits=(8, 3))
# A data set of one's own: ten images, and annotations in COCO's format.
OWN_SIZE = (64, 48)
OWN_NAMES = [f"{i}.png" for i in range(10)]


def box(id: int, image: int, x: float, y: float, w: float, h: float, **more: Any) -> dict[str, Any]:
    return dict(
        dict(
            id=id, image_id=image, category_id=1 + id % 2, bbox=[x, y, w, h], area=w * h, iscrowd=0
        ),
        **more,
    )


OWN_DATA = dict(
    images=[dict(id=i, file_name=name, width=64, height=48) for i, name in enumerate(OWN_NAMES)],
    annotations=[box(i + 1, i, 4 + i, 5, 20, 10 + i) for i in range(10)],
    categories=[dict(id=1, name="cat"), dict(id=2, name="dog")],
)


BACKBONE = """dict(
    type="mmsmlp.SMLPNet",
    arch=dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), mlp_ratio=2),
    img_size=64,
    {options}
)"""
CONFIGS = {
    "detection": """
_base_ = ["mmdet::_base_/models/mask-rcnn_r50_fpn.py", "mmdet::_base_/datasets/coco_instance.py",
          "mmdet::_base_/schedules/schedule_1x.py", "mmdet::_base_/default_runtime.py"]
backbone = {backbone}
backbone["_delete_"] = True
model = dict(
    backbone=backbone,
    neck=dict(in_channels=[8, 16, 24, 32], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(in_channels=16, conv_out_channels=16, num_convs=1)))
""",
    "segmentation": """
default_scope = "mmseg"
backbone = {backbone}
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(type="SegDataPreProcessor", bgr_to_rgb=True, pad_val=0,
                           mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4],
                           seg_pad_val=255, size=(512, 512)),
    backbone=backbone,
    decode_head=dict(type="FCNHead", in_channels=32, in_index=3, channels=8, num_convs=1,
                     num_classes=150, norm_cfg=dict(type="BN"),
                     loss_decode=dict(type="CrossEntropyLoss")),
    test_cfg=dict(mode="whole"))
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(type="ADE20KDataset"))
val_evaluator = test_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=160000, val_interval=16000)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=6e-5))
default_hooks = dict(logger=dict(type="LoggerHook", log_metric_by_epoch=False),
                     checkpoint=dict(type="CheckpointHook"))
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends)
""",
    "classification": """
default_scope = "mmpretrain"
backbone = {backbone}
data_preprocessor = dict(num_classes=1000, mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4],
                         to_rgb=True)
model = dict(
    type="ImageClassifier",
    backbone=backbone,
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", in_channels=32, num_classes=1000,
              loss=dict(type="CrossEntropyLoss", loss_weight=1.0)))
train_dataloader = val_dataloader = test_dataloader = dict(dataset=dict(type="ImageNet"))
val_evaluator = test_evaluator = dict(type="Accuracy", topk=(1, 5))
val_cfg = dict()
test_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=300)
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=1e-3))
default_hooks = dict(logger=dict(type="LoggerHook"), checkpoint=dict(type="CheckpointHook"))
visualizer = dict(type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
""",
}
LIBRARY = {"detection": "mmdet", "segmentation": "mmseg", "classification": "mmpretrain"}
# Without processes that load: a fork for each takes seconds to start and to end.
IN_PROCESS = [
    f"{split}_dataloader.{option}"
    for split in ("train", "val", "test")
    for option in ("num_workers=0", "persistent_workers=False")
]
METRIC = {
    "detection": "coco/segm_mAP",
    "segmentation": "mIoU",
    "classification": "accuracy/top1",
}


def write_config(folder: Path, task: str) -> Path:
    """Write the config of a small network for a task."""
    options = "out_indices=3" if task == "classification" else ""
    path = folder / f"small_{task}.py"
    path.write_text(CONFIGS[task].format(backbone=BACKBONE.format(options=options)))
    return path


def sampled(values: Iterable, step: int) -> list[ParameterSet]:
    """Parameters of a test: `make test` runs one of every ``step``, `make test-all` the others."""
    return [
        pytest.param(*value, marks=[pytest.mark.long] * bool(i % step))
        if isinstance(value, tuple)
        else pytest.param(value, marks=[pytest.mark.long] * bool(i % step))
        for i, value in enumerate(values)
    ]


def smallest(configs: Iterable[Path]) -> list[ParameterSet]:
    """Configs as parameters: `make test` runs those with the smallest network of a family."""
    larger = re.compile(r"smlpnet_[sb]|cyclemlp_b[2-5]|s2mlpv2_(m4|s7|m7)|s2mlp_deep")
    return [
        pytest.param(path, id=path.stem, marks=[pytest.mark.long] * bool(larger.search(path.stem)))
        for path in configs
    ]


def load_tool(name: str) -> ModuleType:
    """A file of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def tool(name: str) -> Callable[..., None]:
    """``main`` of a tool, taking its arguments."""
    module = load_tool(name)

    def main(*arguments: object) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [name, *map(str, arguments)])
            module.main()

    return main


def losses(work_dir: Path) -> list[float]:
    """Every logged loss of the runs in a work directory, oldest first."""
    return [
        entry["loss"]
        for scalars in sorted(work_dir.glob("*/vis_data/scalars.json"))
        for line in scalars.read_text().splitlines()
        if "loss" in (entry := json.loads(line))
    ]
