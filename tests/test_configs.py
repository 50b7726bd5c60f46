"""The configs: they build, their parts fit together, and the recipes are the papers'."""

import importlib
import json
import re
from copy import deepcopy
from functools import cache
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmsmlp.datasets.mini.swap
from mmsmlp.weights import WEIGHTS
from tests.helpers import sampled, smallest

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("*.py"))
EXPERIMENTS = [
    path for path in sorted(FOLDER.glob("experiments/**/*mlp*.py")) if "_base_" not in str(path)
]
TWO_STAGE = [path for path in CONFIGS if "mask_rcnn" in path.stem]
RETINANETS = [path for path in CONFIGS if path.stem.startswith("retinanet")]
CLASSIFIERS = [path for path in CONFIGS if path.stem.endswith("in1k")]
SEGMENTORS = [path for path in CONFIGS if path.stem.startswith(("upernet", "semantic_fpn"))]

BACKBONES = ["smlpnet_t", "smlpnet_s", "smlpnet_b", "s2mlpv2_s4", "s2mlpv2_m4"]
MASK_RCNN = dict(lr=1e-4, decay=0.05, batch=16, length=12, drop_path=0.2)
MASK2FORMER = dict(lr=1e-4, decay=0.05, batch=16, length=160_000, drop_path=0.3)
# What mmdet and mmseg have for Swin-T, and for Semantic FPN of PoolFormer, but for its drop path.
FULL_RECIPES: dict[str, dict[str, Any]] = {
    "mask_rcnn_{}": MASK_RCNN,
    "mask_rcnn_{}_3x": MASK_RCNN | dict(length=36),
    "cascade_mask_rcnn_{}_3x": MASK_RCNN | dict(length=36),
    "retinanet_{}": MASK_RCNN,
    "mask2former_coco_{}": MASK2FORMER | dict(length=368_750),
    "mask2former_ade20k_{}": MASK2FORMER,
    "upernet_{}": MASK2FORMER | dict(lr=6e-5, decay=0.01),
    "semantic_fpn_{}": dict(lr=2e-4, decay=1e-4, batch=32, length=40_000, drop_path=0.2),
}
# Those of which CycleMLP-B2 has one, too.
WITH_B2 = [
    *("mask_rcnn_{}_3x", "cascade_mask_rcnn_{}_3x", "upernet_{}"),
    *("mask2former_coco_{}", "mask2former_ade20k_{}"),
]
# PVT's setting, in which CycleMLP's paper reports: the recipe, and its batch and length.
PVT_BACKBONES = ["cyclemlp_b1", "cyclemlp_b2", "cyclemlp_b3", "smlpnet_s", "smlpnet_b"]
PVT_RECIPES = {
    "mask_rcnn_{}_pvt": (16, "epochs", 12),
    "retinanet_{}_pvt": (16, "epochs", 12),
    "semantic_fpn_{}_pvt": (32, "iters", 40_000),
}
# The paper's, which the recipes leave alone.
DROP_PATH = {"s2mlpv2_s4": 0.1}


@pytest.mark.parametrize(
    ("backbone", "recipe"),
    [
        *sampled(product(BACKBONES, FULL_RECIPES), 3),
        *sampled(product(["cyclemlp_b2"], WITH_B2), 5),
    ],
)
def test_full_recipes_are_those_of_the_libraries(backbone: str, recipe: str) -> None:
    path, expected = FOLDER / f"{recipe.format(backbone)}.py", FULL_RECIPES[recipe]
    cfg = read(path)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ("AdamW", expected["lr"])
    assert optimizer.weight_decay == expected["decay"]
    assert cfg.optim_wrapper.type == "OptimWrapper"
    eight_gpus = 8 * cfg.train_dataloader.batch_size
    assert eight_gpus * cfg.optim_wrapper.get("accumulative_counts", 1) == expected["batch"]
    assert cfg.auto_scale_lr.base_batch_size == expected["batch"]
    unit = "epochs" if "max_epochs" in cfg.train_cfg else "iters"
    assert cfg.train_cfg[f"max_{unit}"] == expected["length"]
    schedulers = cfg.param_scheduler
    last = schedulers[-1] if isinstance(schedulers, (list, tuple)) else schedulers
    assert last.end == expected["length"]
    assert cfg.model.get("pretrained") is None
    assert ("init_cfg" in cfg.model.backbone) is (backbone == "cyclemlp_b2")

    model = build(path)
    assert max(drop_paths(model)) == pytest.approx(DROP_PATH.get(backbone, expected["drop_path"]))
    # What is after the backbone is the same for all of them.
    assert after_the_backbone(recipe.format(backbone)) == after_the_backbone(
        recipe.format("smlpnet_t")
    )


@pytest.mark.parametrize(("backbone", "recipe"), sampled(product(PVT_BACKBONES, PVT_RECIPES), 4))
def test_recipes_to_compare_with_cyclemlps_paper_are_pvts(backbone: str, recipe: str) -> None:
    path = FOLDER / f"{recipe.format(backbone)}.py"
    cfg = read(path)
    batch, unit, length = PVT_RECIPES[recipe]
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ("AdamW", 1e-4, 1e-4)
    assert "paramwise_cfg" not in cfg.optim_wrapper
    assert 8 * cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == batch
    assert cfg.train_cfg[f"max_{unit}"] == length
    weights = cfg.model.backbone.init_cfg.checkpoint
    assert weights == f"mmsmlp://{backbone}_in1k"
    assert WEIGHTS[weights.removeprefix("mmsmlp://")].backbone == backbone
    assert max(drop_paths(build(path))) == pytest.approx(0.1)
    resizes = [step for step in cfg.train_dataloader.dataset.pipeline if step.type == "Resize"]
    assert [step.scale for step in resizes] == ([] if "fpn" in recipe else [(1333, 800)])
    # What is after the backbone is the same for all of them.
    assert after_the_backbone(recipe.format(backbone)) == after_the_backbone(
        recipe.format("smlpnet_s")
    )


@pytest.mark.parametrize(
    "path",
    smallest(path for path in [*CONFIGS, *EXPERIMENTS] if not path.stem.endswith("_pvt")),
)
def test_all_layers_have_one_rate_and_flat_parameters_do_not_decay(path: Path) -> None:
    """But for mmdet's and mmseg's Mask2Former: a tenth for a backbone, whose norms do not decay."""
    cfg = read(path)
    model, optimizer = build(path), cfg.optim_wrapper.optimizer
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    groups = {id(group["params"][0]): group for group in groups}
    mask2former = path.stem.startswith("mask2former")
    for name, parameter in model.named_parameters():
        group, of_backbone = groups[id(parameter)], name.startswith("backbone.")
        rate = 0.1 if mask2former and of_backbone else 1
        assert group["lr"] == pytest.approx(rate * optimizer.lr), name
        if of_backbone or not mask2former:
            decays = parameter.ndim > 1 or (mask2former and "norm" not in name)
            assert group["weight_decay"] == (optimizer.weight_decay if decays else 0), name


def after_the_backbone(name: str) -> dict[str, Any]:
    """Neck and heads of a config, but for the channels that they are given."""
    model = read(FOLDER / f"{name}.py").model.to_dict()
    del model["backbone"]
    return json.loads(
        re.sub(r'"in_channels": (\d+|\[.*?\])', '"in_channels": 0', json.dumps(model))
    )


@pytest.mark.parametrize("path", smallest(CONFIGS))
def test_every_part_accepts_the_output_of_the_part_before_it(path: Path) -> None:
    cfg, model = read(path), build(path)
    with torch.device("meta"):
        maps = model.backbone(torch.zeros(1, 3, 224, 224))
        channels = [y.shape[1] for y in maps]
        assert channels == list(model.backbone.channels)
        if getattr(model, "neck", None) is not None:
            model.neck(maps)
    for name in ("panoptic_head", "decode_head"):
        if path.stem.startswith("mask2former") and hasattr(model, name):
            head = cfg.model[name]
            assert head.in_channels == channels and head.strides == list(model.backbone.strides)


def test_every_backbone_has_every_full_recipe() -> None:
    names = {recipe.format(name) for recipe, name in product(FULL_RECIPES, BACKBONES)}
    names |= {recipe.format(name) for recipe, name in product(PVT_RECIPES, PVT_BACKBONES)}
    names |= {recipe.format("cyclemlp_b2") for recipe in WITH_B2}
    assert names <= {path.stem for path in CONFIGS}


@pytest.mark.parametrize(
    "name",
    sampled(
        ["semantic_fpn_s2mlpv2_s4", "retinanet_smlpnet_t", "cascade_mask_rcnn_s2mlpv2_s4_3x"], 3
    ),
)
def test_full_recipes_learn_on_the_mini_data(name: str, in_tiny_mini: Path, tmp_path: Path) -> None:
    cfg = Config.fromfile(FOLDER / f"{name}.py")
    pytest.importorskip(cfg.default_scope)
    mmsmlp.datasets.mini.swap.use_mini(cfg)
    cfg.model.backbone.arch = dict(embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1), mlp_ratio=2)
    if "s2mlpv2" in name:
        cfg.model.backbone.arch["patch_sizes"] = (4, 2, 2, 2)
    cfg.model.neck.in_channels = [8, 8, 16, 16][-len(cfg.model.neck.in_channels) :]
    cfg.train_cfg.update(max_iters=2, val_interval=3)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.work_dir = str(tmp_path)
    runner = Runner.from_cfg(cfg)
    before = {name: p.clone() for name, p in runner.model.named_parameters()}
    runner.train()
    history = runner.message_hub.get_scalar("train/loss").data[0]
    assert len(history) == 2 and np.isfinite(history).all()
    still = [n for n, p in runner.model.named_parameters() if torch.equal(p, before[n])]
    assert not [name for name in still if name.startswith("backbone.stages")]


@pytest.mark.parametrize("path", smallest(TWO_STAGE))
def test_anchors_and_regions_have_the_strides_of_the_maps(path: Path) -> None:
    model, detector = read(path).model, build(path)
    with torch.device("meta"):
        maps = detector.neck(detector.backbone(torch.zeros(1, 3, 448, 672)))
    strides = model.rpn_head.anchor_generator.strides
    sizes = [(ceil(448 / stride), ceil(672 / stride)) for stride in strides]
    assert [tuple(y.shape[2:]) for y in maps] == sizes
    for extractor in ("bbox_roi_extractor", "mask_roi_extractor"):
        assert model.roi_head[extractor].featmap_strides == strides[:4]
    # Padding to whole tokens of the coarsest map of the backbone.
    assert model.data_preprocessor.pad_size_divisor % detector.backbone.strides[-1] == 0


@pytest.mark.parametrize("path", smallest(RETINANETS))
def test_retinanet_starts_at_stride_8_and_builds_nothing_before_it(path: Path) -> None:
    model = build(path)
    with torch.device("meta"):
        image = torch.zeros(1, 3, 448, 672)
        assert [tuple(y.shape[2:]) for y in model.backbone(image)] == [(56, 84), (28, 42), (14, 21)]
        sizes = [tuple(y.shape[2:]) for y in model.extract_feat(image)]
    strides = model.bbox_head.prior_generator.strides
    assert sizes == [(ceil(448 / stride), ceil(672 / stride)) for stride, _ in strides]
    assert not hasattr(model.backbone, "norm0")


@pytest.mark.parametrize("path", smallest(TWO_STAGE))
def test_anchors_are_of_32_to_512_pixels(path: Path) -> None:
    pytest.importorskip("mmdet")
    from mmdet.registry import TASK_UTILS

    generator = TASK_UTILS.build(read(path).model.rpn_head.anchor_generator)
    areas = [((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])).mean() for b in generator.base_anchors]
    torch.testing.assert_close(torch.stack(areas).sqrt(), 2.0 ** torch.arange(5, 10))


@cache
def read(path: Path) -> Config:
    """A config, not yours to change."""
    return Config.fromfile(path)


def build(path: Path) -> torch.nn.Module:
    """The model of a config without memory for its weights, not yours to change."""
    scope = read(path).default_scope
    pytest.importorskip(scope)
    init_default_scope(scope)
    return built(path)


@cache
def built(path: Path) -> torch.nn.Module:
    cfg = deepcopy(read(path))  # a detector writes into the config that it is built from
    with torch.device("meta"):
        return importlib.import_module(f"{cfg.default_scope}.registry").MODELS.build(cfg.model)


def drop_paths(model: torch.nn.Module) -> list[float]:
    """Rates of the blocks of our backbones; those of other libraries have the same name."""
    modules = model.backbone.modules()
    return [module.drop_prob for module in modules if type(module).__name__ == "DropPath"]


@pytest.mark.parametrize("path", smallest(CLASSIFIERS))
def test_classifiers_score_a_thousand_classes(path: Path) -> None:
    model = build(path)
    with torch.device("meta"):
        assert model(torch.zeros(2, 3, 224, 224)).shape == (2, 1000)


@pytest.mark.parametrize("path", smallest(SEGMENTORS))
def test_segmentors_score_150_classes_at_a_quarter_of_the_size(path: Path) -> None:
    model = build(path)
    with torch.device("meta"):
        maps = model.extract_feat(torch.zeros(2, 3, 512, 512))
        assert model.decode_head(maps).shape == (2, 150, 128, 128)
        if model.with_auxiliary_head:
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
# S²-MLP's and CycleMLP's are DeiT's.
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
    **{f"cyclemlp_b{i}_in1k": S2MLP for i in range(1, 6)},
    "s2mlpv2_s4_in1k": S2MLPV2,
    "s2mlpv2_m4_in1k": S2MLPV2 | dict(batch=744),
    "s2mlpv2_s7_in1k": S2MLPV2,
    "s2mlpv2_m7_in1k": S2MLPV2 | dict(batch=744),
    "s2mlp_wide_in1k": S2MLP,
    "s2mlp_deep_in1k": S2MLP,
}


@pytest.mark.parametrize("path", smallest(CLASSIFIERS))
def test_recipes_are_the_papers(path: Path) -> None:
    cfg, recipe = read(path), RECIPES[path.stem]
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
    assert max(drop_paths(build(path))) == pytest.approx(recipe["drop_path"])


@pytest.mark.parametrize("arch", sampled(["b1", "b2", "b3", "b4", "b5"], 5))
def test_cyclemlps_weights_are_tested_as_its_authors_test_them(arch: str) -> None:
    """As DeiT's script: shorter side 256, bicubic, centre crop 224, ImageNet's statistics."""
    cfg = read(FOLDER / f"cyclemlp_{arch}_in1k.py")
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        _, resize, crop, _ = loader.dataset.pipeline
        assert (resize.type, resize.edge, resize.scale) == ("ResizeEdge", "short", 256)
        assert (resize.backend, resize.interpolation) == ("pillow", "bicubic")
        assert (crop.type, crop.crop_size) == ("CenterCrop", 224)
        assert loader.dataset.split == "val" and loader.dataset.type == "ImageNet"
    preprocessor = cfg.data_preprocessor
    assert preprocessor.mean == [123.675, 116.28, 103.53] and preprocessor.to_rgb
    assert preprocessor.std == [58.395, 57.12, 57.375]


@pytest.mark.parametrize("path", smallest(CLASSIFIERS))
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
