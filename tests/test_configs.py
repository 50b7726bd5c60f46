"""The configs: they build, their parts fit together, and the recipes are the papers'."""

import importlib
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

CONFIGS = sorted(Path(__file__).parents[1].glob("configs/*.py"))
DETECTORS = [path for path in CONFIGS if path.stem.startswith("mask_rcnn")]
CLASSIFIERS = [path for path in CONFIGS if path.stem.endswith("in1k")]
SEGMENTORS = [path for path in CONFIGS if path.stem.startswith("upernet")]


@pytest.mark.parametrize("path", DETECTORS, ids=lambda path: path.stem)
def test_anchors_and_regions_have_the_strides_of_the_maps(path: Path) -> None:
    pytest.importorskip("mmdet")
    from mmdet.registry import MODELS

    model = Config.fromfile(path).model
    with torch.device("meta"):
        backbone, neck = MODELS.build(model.backbone), MODELS.build(model.neck)
        maps = neck(backbone(torch.zeros(1, 3, 448, 672)))
    strides = model.rpn_head.anchor_generator.strides
    sizes = [(ceil(448 / stride), ceil(672 / stride)) for stride in strides]
    assert [tuple(y.shape[2:]) for y in maps] == sizes
    for extractor in ("bbox_roi_extractor", "mask_roi_extractor"):
        assert model.roi_head[extractor].featmap_strides == strides[:4]
    # Padding to whole tokens of the coarsest map of the backbone.
    assert model.data_preprocessor.pad_size_divisor % backbone.strides[-1] == 0


@pytest.mark.parametrize("path", DETECTORS, ids=lambda path: path.stem)
def test_anchors_are_of_32_to_512_pixels(path: Path) -> None:
    pytest.importorskip("mmdet")
    from mmdet.registry import TASK_UTILS

    generator = TASK_UTILS.build(Config.fromfile(path).model.rpn_head.anchor_generator)
    areas = [((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])).mean() for b in generator.base_anchors]
    torch.testing.assert_close(torch.stack(areas).sqrt(), 2.0 ** torch.arange(5, 10))


def build(cfg: Config) -> torch.nn.Module:
    """The model of a config without memory for its weights."""
    pytest.importorskip(cfg.default_scope)
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        return importlib.import_module(f"{cfg.default_scope}.registry").MODELS.build(cfg.model)


@pytest.mark.parametrize("path", CLASSIFIERS, ids=lambda path: path.stem)
def test_classifiers_score_a_thousand_classes(path: Path) -> None:
    model = build(Config.fromfile(path))
    with torch.device("meta"):
        assert model(torch.zeros(2, 3, 224, 224)).shape == (2, 1000)


@pytest.mark.parametrize("path", SEGMENTORS, ids=lambda path: path.stem)
def test_segmentors_score_150_classes_at_a_quarter_of_the_size(path: Path) -> None:
    model = build(Config.fromfile(path))
    with torch.device("meta"):
        maps = model.backbone(torch.zeros(2, 3, 512, 512))
        assert model.decode_head(maps).shape == (2, 150, 128, 128)
        assert model.auxiliary_head(maps).shape == (2, 150, 32, 32)


SMLPNET = dict(
    augments={"RandAugment"},
    sampler="RepeatAugSampler",
    lr=1e-3,
    batch=1024,
    ema=False,
    drop_path=None,
)
S2MLPV2 = dict(
    augments={"RandAugment", "Cutout"},
    sampler="DefaultSampler",
    lr=2e-3,
    batch=1024,
    ema=True,
    drop_path=0.1,
)
# S²-MLP's is DeiT's.
S2MLP = dict(
    augments={"RandAugment", "RandomErasing"},
    sampler="RepeatAugSampler",
    lr=1e-3,
    batch=1024,
    ema=False,
    drop_path=0.1,
)
RECIPES: dict[str, dict[str, Any]] = {
    "smlpnet_t_in1k": SMLPNET | dict(drop_path=0),
    "smlpnet_s_in1k": SMLPNET | dict(drop_path=0.2),
    "smlpnet_b_in1k": SMLPNET | dict(drop_path=0.3),
    "s2mlpv2_s4_in1k": S2MLPV2,
    "s2mlpv2_m4_in1k": S2MLPV2 | dict(batch=744),
    "s2mlpv2_s7_in1k": S2MLPV2,
    "s2mlpv2_m7_in1k": S2MLPV2 | dict(batch=744),
    "s2mlp_wide_in1k": S2MLP,
    "s2mlp_deep_in1k": S2MLP,
}


@pytest.mark.parametrize("path", CLASSIFIERS, ids=lambda path: path.stem)
def test_recipes_are_the_papers(path: Path) -> None:
    cfg, recipe = Config.fromfile(path), RECIPES[path.stem]
    optimizer, loader = cfg.optim_wrapper.optimizer, cfg.train_dataloader
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ("AdamW", recipe["lr"], 0.05)
    one_gpu = loader.batch_size * cfg.optim_wrapper.accumulative_counts
    assert one_gpu == cfg.auto_scale_lr.base_batch_size == recipe["batch"]
    assert cfg.train_cfg.max_epochs == 300
    common = {"LoadImageFromFile", "RandomResizedCrop", "RandomFlip", "PackInputs"}
    assert {step.type for step in loader.dataset.pipeline} - common == recipe["augments"]
    assert loader.sampler.type == recipe["sampler"]
    assert {augment.type for augment in cfg.model.train_cfg.augments} == {"Mixup", "CutMix"}
    assert cfg.model.head.loss.label_smooth_val == 0.1
    hooks = cfg.get("custom_hooks") or []
    assert [hook.type for hook in hooks] == ["EMAHook"] * recipe["ema"]
    # Its average moves once for every step of the optimizer.
    assert all(hook.interval == cfg.optim_wrapper.accumulative_counts for hook in hooks)
    rates = [
        module.drop_prob for module in build(cfg).modules() if type(module).__name__ == "DropPath"
    ]
    assert max(rates) == pytest.approx(recipe["drop_path"])


@pytest.mark.parametrize("path", CLASSIFIERS, ids=lambda path: path.stem)
def test_augmented_images_are_of_224_pixels(path: Path, tmp_path: Path) -> None:
    """Runs what ``--mini`` does not: the pipelines of the full recipe."""
    cfg = Config.fromfile(path)
    pytest.importorskip(cfg.default_scope)
    init_default_scope(cfg.default_scope)
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    image_path = tmp_path / "image.png"
    cv2.imwrite(str(image_path), image)
    seen = set()
    for _ in range(20):
        packed = Compose(cfg.train_dataloader.dataset.pipeline)(
            dict(img_path=str(image_path), gt_label=3)
        )
        assert packed["inputs"].shape == (3, 224, 224)
        seen.add(packed["inputs"].sum().item())
    assert len(seen) == 20
    packed = Compose(cfg.val_dataloader.dataset.pipeline)(
        dict(img_path=str(image_path), gt_label=3)
    )
    assert packed["inputs"].shape == (3, 224, 224)
