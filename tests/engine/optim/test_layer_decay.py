"""Layer-wise decay: which layer each parameter is of, how fast it learns, whether it decays."""

import importlib
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmsmlp.models.backbones import SMLPNet

LR, WEIGHT_DECAY, RATE = 1e-2, 0.05, 0.7

# A small network of each kind, and the layer of every part of it, counted by hand.
PYRAMID = {
    "stages.0.patch_embed": 0,
    "stages.0.blocks.0": 1,
    "stages.1.patch_embed": 2,
    "stages.1.blocks.0": 2,
    "stages.1.blocks.1": 3,
    "norm0": 4,
    "norm1": 4,
}
NETWORKS: dict[str, tuple[dict[str, Any], list[int], dict[str, int]]] = {
    "smlpnet": (
        dict(
            type="mmsmlp.SMLPNet",
            arch=dict(embed_dims=(8, 16), depths=(1, 2), mlp_ratio=2),
            img_size=32,
            out_indices=(0, 1),
        ),
        [8, 16],
        PYRAMID,
    ),
    "s2mlpv2": (
        dict(
            type="mmsmlp.S2MLPv2",
            arch=dict(embed_dims=(8, 16), depths=(1, 2), patch_sizes=(7, 2), mlp_ratio=2),
        ),
        [8, 16],
        PYRAMID,
    ),
    "cyclemlp": (
        dict(
            type="mmsmlp.CycleMLP",
            arch=dict(embed_dims=(8, 16), depths=(1, 2), mlp_ratios=(2, 2)),
            out_indices=(0, 1),
        ),
        [8, 16],
        PYRAMID,
    ),
    "s2mlp": (
        dict(
            type="mmsmlp.S2MLP",
            arch=dict(embed_dims=16, depth=3, patch_size=16, mlp_ratio=2),
        ),
        [16],
        {
            "stages.0.patch_embed": 0,
            "stages.0.blocks.0": 1,
            "stages.1.blocks.0": 2,
            "stages.2.blocks.0": 3,
            "norm2": 4,
        },
    ),
}
LAST = 4


def detector(backbone: dict, channels: list[int]) -> dict:
    return dict(
        type="RetinaNet",
        data_preprocessor=dict(type="DetDataPreprocessor"),
        backbone=backbone,
        neck=dict(type="FPN", in_channels=channels, out_channels=8, num_outs=len(channels)),
        bbox_head=dict(
            type="RetinaHead",
            num_classes=3,
            in_channels=8,
            feat_channels=8,
            stacked_convs=1,
            anchor_generator=dict(
                type="AnchorGenerator", ratios=[1.0], scales=[4], strides=[8, 16][: len(channels)]
            ),
        ),
    )


def segmentor(backbone: dict, channels: list[int]) -> dict:
    head = dict(type="FCNHead", channels=8, num_convs=1, num_classes=3, norm_cfg=dict(type="BN"))
    return dict(
        type="EncoderDecoder",
        backbone=backbone,
        decode_head=dict(head, in_channels=channels[-1], in_index=-1),
        auxiliary_head=dict(head, in_channels=channels[0], in_index=0),
        test_cfg=dict(mode="whole"),
    )


def classifier(backbone: dict, channels: list[int]) -> dict:
    return dict(
        type="ImageClassifier",
        backbone=backbone,
        neck=dict(type="GlobalAveragePooling"),
        head=dict(type="LinearClsHead", in_channels=channels[-1], num_classes=3),
    )


MODELS = {"mmdet": detector, "mmseg": segmentor, "mmpretrain": classifier}


def build(library: str, network: str, **options: Any) -> nn.Module:
    pytest.importorskip(library)
    init_default_scope(library)
    backbone, channels, _ = NETWORKS[network]
    registry = importlib.import_module(f"{library}.registry").MODELS
    return registry.build(ConfigDict(MODELS[library]({**backbone, **options}, channels)))


def optim_wrapper(
    model: nn.Module, layer_decay_rate: object = RATE, **paramwise: Any
) -> OptimWrapper:
    return build_optim_wrapper(
        model,
        ConfigDict(
            type="OptimWrapper",
            constructor="mmsmlp.LayerDecayOptimWrapperConstructor",
            optimizer=dict(type="AdamW", lr=LR, weight_decay=WEIGHT_DECAY),
            paramwise_cfg=dict(layer_decay_rate=layer_decay_rate, **paramwise),
        ),
    )


def settings(model: nn.Module, wrapper: OptimWrapper) -> dict[str, dict]:
    """Group of every parameter that is in one, by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    listed = [
        (names[p], group) for group in wrapper.optimizer.param_groups for p in group["params"]
    ]
    assert len(listed) == len(dict(listed)), "a parameter is in two groups"
    return dict(listed)


@pytest.fixture(params=MODELS)
def library(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_parameter_learns_as_its_layer_does(library: str, network: str) -> None:
    model = build(library, network)
    groups = settings(model, optim_wrapper(model))
    assert set(groups) == set(dict(model.named_parameters()))
    table = {f"backbone.{part}.": layer for part, layer in NETWORKS[network][2].items()}
    seen = set()
    for name, group in groups.items():
        layer = next((k for part, k in table.items() if name.startswith(part)), None)
        if layer is None:
            assert not name.startswith("backbone"), name
            layer = LAST
        seen.add(layer)
        assert group["lr"] == pytest.approx(LR * RATE ** (LAST - layer)), name
    assert seen == set(range(LAST + 1))
    assert groups["backbone.stages.0.blocks.0.mlp.fc1.weight"]["lr"] == pytest.approx(LR * RATE**3)


def test_norms_and_biases_do_not_decay(library: str, network: str) -> None:
    model = build(library, network)
    norms = {
        f"{name}.{parameter}"
        for name, module in model.named_modules()
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm))
        for parameter, _ in module.named_parameters(recurse=False)
    }
    assert norms
    matrices = set()
    for name, group in settings(model, optim_wrapper(model)).items():
        free = name in norms or name.endswith("bias")
        assert group["weight_decay"] == (0 if free else WEIGHT_DECAY), name
        if not free:
            matrices.add(name)
    assert all(model.get_parameter(name).ndim > 1 for name in matrices)
    assert any("stages.1.blocks" in name for name in matrices)


def test_a_group_for_each_rate_and_decay() -> None:
    wrapper = optim_wrapper(build("mmdet", "smlpnet"))
    pairs = [(group["lr"], group["weight_decay"]) for group in wrapper.optimizer.param_groups]
    # A stem without biases has weights alone, the others have both.
    assert len(pairs) == len(set(pairs)) == 2 * (LAST + 1) - 1
    single = optim_wrapper(build("mmdet", "smlpnet"), layer_decay_rate=1).optimizer.param_groups
    assert {group["weight_decay"] for group in single} == {0, WEIGHT_DECAY}
    assert [group["lr"] for group in single] == [LR, LR]


def test_frozen_parameters_are_left_out(network: str) -> None:
    model = build("mmseg", network, frozen_stages=1)
    groups = settings(model, optim_wrapper(model))
    assert set(groups) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any(name.startswith("backbone.stages.0") for name in groups)
    # The others keep the layers that they have in the whole network.
    rate = groups["backbone.stages.1.blocks.0.mlp.fc1.weight"]["lr"]
    assert rate == pytest.approx(LR * RATE**2)


def test_wrapped_models_and_backbones() -> None:
    model = build("mmpretrain", "smlpnet")
    plain = settings(model, optim_wrapper(model))
    wrapped = settings(model, optim_wrapper(nn.DataParallel(model)))
    model.backbone = nn.DataParallel(model.backbone)
    separately = settings(model, optim_wrapper(model))
    expected = {name: group["lr"] for name, group in plain.items()}
    assert {name: group["lr"] for name, group in wrapped.items()} == expected
    assert {
        name.replace("backbone.module.", "backbone."): group["lr"]
        for name, group in separately.items()
    } == expected


def test_two_backbones_each_have_their_own_depth() -> None:
    pair = nn.ModuleDict(
        dict(
            teacher=build("mmdet", "s2mlp"),
            student=build("mmseg", "smlpnet"),
            head=nn.Conv1d(1, 1, 1),
        )
    )
    backbone = pair.teacher.backbone
    first = backbone.depths[: len(backbone.stages) - 1]
    backbone.depths = (*first, 9 - sum(first))  # as if six more blocks followed
    groups = settings(pair, optim_wrapper(pair))
    rates = {name: group["lr"] / LR for name, group in groups.items()}
    stem = "backbone.stages.0.patch_embed"
    assert rates[f"teacher.{stem}.0.weight"] == pytest.approx(RATE**10)
    assert rates[f"student.{stem}.weight"] == pytest.approx(RATE**4)
    assert rates["head.weight"] == rates["teacher.neck.fpn_convs.0.conv.weight"] == 1


def test_other_options_apply_on_top() -> None:
    model = build("mmdet", "smlpnet")
    options = dict(
        norm_decay_mult=1.0,
        bias_lr_mult=2.0,
        custom_keys={"stages.1": dict(lr_mult=0.1, decay_mult=0.5)},
    )
    groups = settings(model, optim_wrapper(model, **options))
    merging = groups["backbone.stages.1.patch_embed.weight"]
    assert merging["lr"] == pytest.approx(LR * 0.1 * RATE**2)
    assert merging["weight_decay"] == pytest.approx(WEIGHT_DECAY * 0.5)
    assert groups["backbone.norm0.weight"]["weight_decay"] == WEIGHT_DECAY
    bias = groups["backbone.stages.0.blocks.0.mlp.fc1.bias"]
    assert bias["lr"] == pytest.approx(LR * 2 * RATE**3)
    assert bias["weight_decay"] == 0


def test_weighted_sums_do_not_decay() -> None:
    model = build("mmpretrain", "smlpnet", smlp_cfg=dict(fusion="weighted_sum"))
    groups = settings(model, optim_wrapper(model))
    assert groups["backbone.stages.1.blocks.0.smlp.fuse.weight"]["weight_decay"] == 0


def test_a_step_moves_the_stem_less() -> None:
    """AdamW's first step is the learning rate, whatever the gradient."""
    model = build("mmpretrain", "s2mlp")
    wrapper = optim_wrapper(model, custom_keys={"": dict(decay_mult=0.0)})
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    for name, layer in {
        "stages.0.patch_embed.0.weight": 0,
        "stages.2.blocks.0.mlp.fc1.weight": 3,
    }.items():
        moved = (before[f"backbone.{name}"] - model.backbone.get_parameter(name)).mean()
        assert moved.item() == pytest.approx(LR * RATE ** (LAST - layer), rel=1e-3)


@pytest.mark.parametrize("rate", [0, -0.5, 1.01, None, "0.9"])
def test_rates_out_of_range_are_refused(rate: object) -> None:
    with pytest.raises(ValueError, match=r"layer_decay_rate must be a number in \(0, 1\], got"):
        optim_wrapper(build("mmpretrain", "smlpnet"), layer_decay_rate=rate)


def test_models_that_tell_no_depths_are_refused() -> None:
    model = nn.Module()
    model.head = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="a module named backbone, got Module"):
        optim_wrapper(model)
    model.backbone = nn.Conv2d(3, 8, 1)
    with pytest.raises(ValueError, match="get_layer_depth, got Conv2d as backbone"):
        optim_wrapper(model)


@pytest.mark.parametrize("missing", ["lr", "weight_decay"])
def test_the_scaled_values_are_required(missing: str) -> None:
    optimizer = dict(type="AdamW", lr=LR, weight_decay=WEIGHT_DECAY)
    del optimizer[missing]
    with pytest.raises(ValueError, match=f"optimizer must have {missing}"):
        build_optim_wrapper(
            build("mmpretrain", "smlpnet"),
            dict(
                constructor="mmsmlp.LayerDecayOptimWrapperConstructor",
                optimizer=optimizer,
                paramwise_cfg=dict(layer_decay_rate=RATE),
            ),
        )


def test_stages_that_are_not_built_do_not_count() -> None:
    """Two of four stages: stem, one block, two blocks, and what follows."""
    options = dict(arch=dict(embed_dims=(8, 8, 8, 8), depths=(1, 2, 3, 4), mlp_ratio=2))
    network = SMLPNet(img_size=32, out_indices=(0, 1), **options)
    assert network.get_layer_depth("stages.0.patch_embed.weight") == (0, 5)
    assert network.get_layer_depth("stages.1.blocks.1.norm1.weight") == (3, 5)
    assert network.get_layer_depth("head.weight") == (4, 5)
