"""The optimizer and the images that come with a backbone."""

from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmsmlp.models.backbones import SMLPNet
from mmsmlp.swap.recipe import adapt_optimizer, adapt_preprocessing


def test_sgd_gives_way_to_adamw_and_the_schedule_ends_in_proportion() -> None:
    cfg = dict(
        optim_wrapper=dict(
            optimizer=dict(type="SGD", lr=0.01, momentum=0.9), clip_grad=dict(max_norm=35)
        ),
        param_scheduler=[dict(type="PolyLR", eta_min=1e-4)],
    )
    adapt_optimizer(cfg)
    wrapper = cfg["optim_wrapper"]
    assert wrapper["optimizer"] == dict(type="AdamW", lr=1e-4, weight_decay=0.05)
    assert wrapper["paramwise_cfg"] == dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0
    )
    assert wrapper["clip_grad"] == dict(max_norm=35)
    assert cfg["param_scheduler"][0]["eta_min"] == pytest.approx(1e-6)


def test_every_absolute_rate_of_a_schedule_is_scaled() -> None:
    cfg = dict(
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
        param_scheduler=[
            dict(type="OneCycleLR", eta_max=0.02, div_factor=25, total_steps=12),
            dict(type="ReduceOnPlateauLR", min_value=1e-3, factor=0.1),
            dict(type="ReduceOnPlateauParamScheduler", param_name="lr", min_value=[1e-3, 1e-4]),
            dict(type="CosineAnnealingMomentum", eta_min=0.85),
            dict(type="CosineAnnealingParamScheduler", param_name="weight_decay", eta_min=0.1),
            dict(type="CosineAnnealingLR", eta_min_ratio=0.1),
        ],
    )
    adapt_optimizer(cfg)
    one, plateau, several, momentum, decay, relative = cfg["param_scheduler"]
    assert one == dict(
        type="OneCycleLR", eta_max=pytest.approx(2e-4), div_factor=25, total_steps=12
    )
    assert plateau["min_value"] == pytest.approx(1e-5) and plateau["factor"] == 0.1
    assert several["min_value"] == pytest.approx([1e-5, 1e-6])
    assert momentum["eta_min"] == 0.85 and decay["eta_min"] == 0.1
    assert relative["eta_min_ratio"] == 0.1


@pytest.mark.parametrize(
    ("kind", "stays"),
    [
        ("Adam", True),
        ("mmengine.AdamW", True),
        ("torch.optim.AdamW", True),
        (torch.optim.NAdam, True),
        (torch.optim.Adamax, True),
        ("SGD", False),
        ("mmengine.SGD", False),
        (torch.optim.SGD, False),
        ("NoSuchOptimizer", False),
        ("", False),
    ],
)
def test_an_adam_is_known_by_its_class(kind: str | type, stays: bool) -> None:
    schedule = dict(type="OneCycleLR", eta_max=1e-3, total_steps=3)
    cfg: dict[str, Any] = dict(
        optim_wrapper=dict(optimizer=dict(type=kind, lr=5e-4)), param_scheduler=schedule
    )
    adapt_optimizer(cfg)
    assert (cfg["optim_wrapper"]["optimizer"]["lr"] == 5e-4) == stays
    assert cfg["param_scheduler"]["eta_max"] == pytest.approx(1e-3 if stays else 2e-4)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        arch = dict(embed_dims=(8, 16), depths=(1, 1), mlp_ratio=2)
        self.backbone = SMLPNet(arch, img_size=32, out_indices=(0, 1))
        self.head = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))


@pytest.mark.parametrize("constructor", ["", "LayerDecayOptimizerConstructor"])
def test_a_slower_backbone_does_not_decay_norms_and_biases(constructor: str) -> None:
    wrapper = dict(
        optimizer=dict(type="SGD", lr=0.01, weight_decay=1e-4),
        paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.1)}),
    )
    if constructor:
        wrapper["constructor"] = constructor
    cfg = dict(optim_wrapper=wrapper)
    adapt_optimizer(cfg)
    model = Model()
    built = build_optim_wrapper(model, ConfigDict(cfg["optim_wrapper"], type="OptimWrapper"))
    groups = {id(parameter): group for group in built.param_groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        group = groups[id(parameter)]
        assert group["weight_decay"] == (0 if parameter.ndim == 1 else 0.05), name
        if not constructor:
            assert group["lr"] == pytest.approx(1e-5 if "backbone" in name else 1e-4), name


def test_multipliers_of_the_decay_count_where_there_is_decay() -> None:
    """As in mmdet's DETR and Mask2Former, whose backbones have a decay_mult of 1."""
    keys = {"backbone": dict(lr_mult=0.1, decay_mult=0.5), "head": dict(decay_mult=1.0)}
    cfg = dict(
        optim_wrapper=dict(
            optimizer=dict(type="SGD", lr=0.01), paramwise_cfg=dict(custom_keys=keys)
        )
    )
    adapt_optimizer(cfg)
    model = Model()
    built = build_optim_wrapper(model, ConfigDict(cfg["optim_wrapper"], type="OptimWrapper"))
    groups = {id(parameter): group for group in built.param_groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        expected = 0 if parameter.ndim == 1 else 0.025 if "backbone" in name else 0.05
        assert groups[id(parameter)]["weight_decay"] == pytest.approx(expected), name


def test_adamw_stays_with_its_settings() -> None:
    optimizer = dict(type="AdamW", lr=2e-4, weight_decay=1e-4)
    keys = dict(backbone=dict(lr_mult=0.1))
    cfg = dict(
        optim_wrapper=dict(optimizer=dict(optimizer), paramwise_cfg=dict(custom_keys=keys)),
        param_scheduler=[dict(type="PolyLR", eta_min=1e-6)],
    )
    adapt_optimizer(cfg)
    assert cfg["optim_wrapper"]["optimizer"] == optimizer
    assert cfg["optim_wrapper"]["paramwise_cfg"]["custom_keys"] == keys
    assert cfg["param_scheduler"][0]["eta_min"] == 1e-6


def test_layer_decay_of_another_backbone_becomes_ours() -> None:
    cfg = dict(
        optim_wrapper=dict(
            constructor="LearningRateDecayOptimizerConstructor",
            optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05),
            paramwise_cfg=dict(decay_rate=0.95, decay_type="layer_wise", num_layers=6),
        )
    )
    adapt_optimizer(cfg)
    assert cfg["optim_wrapper"]["constructor"] == "mmsmlp.LayerDecayOptimWrapperConstructor"
    assert cfg["optim_wrapper"]["paramwise_cfg"] == dict(layer_decay_rate=0.95)


def test_images_become_those_of_imagenet() -> None:
    model = dict(
        data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[1.0] * 3, bgr_to_rgb=False)
    )
    adapt_preprocessing(model)
    assert model["data_preprocessor"] == dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    )
    raw = dict(data_preprocessor=dict(pad_size_divisor=32))
    adapt_preprocessing(raw)
    assert raw == dict(data_preprocessor=dict(pad_size_divisor=32))


@pytest.mark.parametrize("mean", [[31000.0, 30000.0, 26000.0], [0.48, 0.46, 0.41], [128.0]])
def test_images_of_another_range_keep_their_mean(mean: list[float]) -> None:
    given = dict(data_preprocessor=dict(mean=mean, std=[1.0] * len(mean), bgr_to_rgb=False))
    model = dict(data_preprocessor=dict(given["data_preprocessor"]))
    adapt_preprocessing(model)
    assert model == given


def test_images_that_are_loaded_as_rgb_stay_in_that_order() -> None:
    model = dict(data_preprocessor=dict(mean=[100.0] * 3, std=[50.0] * 3, rgb_to_bgr=True))
    adapt_preprocessing(model, loads_rgb=True)
    assert model["data_preprocessor"]["mean"] == [123.675, 116.28, 103.53]
    assert not model["data_preprocessor"]["bgr_to_rgb"]
    assert not model["data_preprocessor"]["rgb_to_bgr"]
