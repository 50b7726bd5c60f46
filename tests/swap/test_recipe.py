"""The optimizer and the images that come with a backbone."""

import pytest

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
