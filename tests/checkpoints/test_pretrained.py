"""Weights arrive in detectors, segmentors and classifiers as their configs are written."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn

from mmsmlp.checkpoints import SPACH
from mmsmlp.errors import CheckpointError
from mmsmlp.models.backbones import SMLPNet
from mmsmlp.models.layers import resampling_matrix
from mmsmlp.registry import MODELS

ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 2, 1), mlp_ratio=2)
SMLPNET = dict(type="mmsmlp.SMLPNet", arch=ARCH, img_size=64)
S2MLPV2 = dict(type="mmsmlp.S2MLPv2", arch=dict(ARCH, patch_sizes=(4, 2, 2, 2)), img_size=64)
CYCLEMLP = dict(
    type="mmsmlp.CycleMLP",
    arch=dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 2, 1), mlp_ratios=(2, 2, 2, 2)),
)
BACKBONES = pytest.mark.parametrize(
    "backbone", [SMLPNET, S2MLPV2, CYCLEMLP], ids=lambda backbone: backbone["type"]
)
CHANNELS = list(ARCH["embed_dims"])


def detector(backbone: dict) -> BaseModel:
    models = pytest.importorskip("mmdet.registry").MODELS
    head = dict(type="RetinaHead", num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1)
    neck = dict(type="FPN", in_channels=CHANNELS, out_channels=8, num_outs=5)
    return models.build(dict(type="RetinaNet", backbone=backbone, neck=neck, bbox_head=head))


def segmentor(backbone: dict) -> BaseModel:
    models = pytest.importorskip("mmseg.registry").MODELS
    head = dict(
        type="UPerHead",
        in_channels=CHANNELS,
        in_index=[0, 1, 2, 3],
        channels=8,
        num_classes=3,
        norm_cfg=dict(type="BN"),
    )
    network = dict(type="EncoderDecoder", backbone=backbone, decode_head=head)
    return models.build(dict(network, test_cfg=dict(mode="whole")))


def classifier(backbone: dict) -> BaseModel:
    models = pytest.importorskip("mmpretrain.registry").MODELS
    head = dict(type="LinearClsHead", in_channels=CHANNELS[-1], num_classes=3)
    return models.build(
        dict(
            type="ImageClassifier",
            backbone=dict(backbone, out_indices=(3,)),
            neck=dict(type="GlobalAveragePooling"),
            head=head,
        )
    )


NETWORKS = pytest.mark.parametrize("network", [detector, segmentor, classifier])


def about_loading(log: list[tuple[int, str]]) -> tuple[int, str]:
    (line,) = [line for line in log if "tensors loaded" in line[1]]
    assert "\n" not in line[1]
    return line


def scrambled(network: nn.Module) -> dict[str, Tensor]:
    """State dict of a network that was trained: no two tensors, and no default, are the same."""
    torch.manual_seed(1)
    return {
        name: torch.rand_like(value) + 0.1 if value.is_floating_point() else value + 7
        for name, value in network.state_dict().items()
    }


def pretrained(backbone: dict, path: Path | str, prefix: str | None = "backbone.") -> dict:
    init_cfg = dict(type="Pretrained", checkpoint=str(path))
    return dict(backbone, init_cfg=dict(init_cfg, prefix=prefix) if prefix else init_cfg)


def assert_arrived(weights: dict[str, Tensor], network: nn.Module) -> None:
    """All of a classifier's backbone is there, bit for bit; output norms that it lacks are new."""
    expected = {k.removeprefix("backbone."): v for k, v in weights.items() if "backbone." in k}
    given = network.backbone.state_dict()
    for name, value in given.items():
        if name in expected:
            assert torch.equal(value, expected.pop(name)), name
        else:
            assert name.startswith(("norm0", "norm1", "norm2")), name
    assert not expected


@BACKBONES
@NETWORKS
@pytest.mark.parametrize("prefix", ["backbone.", "wrong.", None])
def test_weights_of_a_classifier_arrive(
    network: Callable, backbone: dict, prefix: str | None, tmp_path: Path, log: list
) -> None:
    weights = scrambled(classifier(backbone))
    torch.save({"state_dict": weights, "meta": {}}, tmp_path / "classifier.pth")
    model = network(pretrained(backbone, tmp_path / "classifier.pth", prefix))
    model.init_weights()
    assert_arrived(weights, model)
    level, line = about_loading(log)
    assert level == logging.INFO
    loaded = sum(name.startswith("backbone.") for name in weights)
    assert f"{type(model.backbone).__name__}: {loaded} tensors loaded" in line
    assert "0 of them resized" in line and "0 unexpected" in line
    assert line.endswith(f"under 'backbone.' in {tmp_path / 'classifier.pth'}")
    assert ("output norms norm0, norm1, norm2 start afresh" in line) is (network is not classifier)


@NETWORKS
def test_an_alien_checkpoint_raises(network: Callable, tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    from mmdet.registry import MODELS as DETECTION

    # Swin calls its stages, blocks and norms as we do.
    aliens = {
        "swin": dict(type="SwinTransformer", embed_dims=8, depths=(1, 1, 2, 1), num_heads=[1] * 4),
        "resnet": dict(type="ResNet", depth=18, base_channels=8),
    }
    for name, alien in aliens.items():
        state_dict = DETECTION.build(alien).state_dict()
        state_dict = {f"backbone.{key}": value for key, value in state_dict.items()}
        torch.save({"state_dict": state_dict}, tmp_path / f"{name}.pth")
        model = network(pretrained(SMLPNET, tmp_path / f"{name}.pth"))
        with pytest.raises(CheckpointError) as error:
            model.init_weights()
        message = str(error.value)
        assert message.startswith(f"SMLPNet cannot load '{tmp_path / name}.pth': only")
        assert f"the checkpoint has {next(iter(state_dict))}" in message
        assert "looked for norm" in message


@NETWORKS
def test_a_relative_is_not_the_same(network: Callable, tmp_path: Path) -> None:
    """The other of our networks shares half of its names."""
    for one, other in ((SMLPNET, S2MLPV2), (S2MLPV2, SMLPNET)):
        torch.save(classifier(one).state_dict(), tmp_path / "x.pth")
        with pytest.raises(CheckpointError, match=r"only \d+ of its|it is of another network"):
            network(pretrained(other, tmp_path / "x.pth")).init_weights()


@NETWORKS
def test_weights_of_a_detector_arrive(network: Callable, tmp_path: Path, log: list) -> None:
    weights = scrambled(detector(SMLPNET))
    torch.save({"state_dict": weights}, tmp_path / "detector.pth")
    model = network(pretrained(SMLPNET, tmp_path / "detector.pth"))
    model.init_weights()
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, weights[f"backbone.{name}"])
    assert about_loading(log)[0] == logging.INFO
    # A classifier has one of the detector's four output norms, of five tensors each.
    assert ("15 of stages that are not in use" in about_loading(log)[1]) is (network is classifier)


def saved(weights: dict[str, Tensor], how: str) -> dict:
    """A checkpoint as various tools wrap the state dict of a classifier."""
    backbone = {k.removeprefix("backbone."): v for k, v in weights.items() if "backbone." in k}
    other = {key: torch.zeros_like(value) for key, value in weights.items()}

    def below(prefix: str, weights: dict) -> dict:
        return {f"{prefix}{key}": value for key, value in weights.items()}

    return {
        "bare": weights,
        "backbone alone": backbone,
        "DDP": {"state_dict": below("module.", weights)},
        "DeiT": {"model": weights, "model_ema": other, "epoch": 1},
        "timm, average alone": {"state_dict_ema": weights, "args": None},
        "EMAHook": {
            "state_dict": weights,
            "ema_state_dict": {"steps": torch.tensor(3), **below("module.", other)},
        },
        "self-supervision": {"state_dict": below("encoder.net.", backbone)},
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        *("bare", "backbone alone", "DDP", "DeiT", "timm, average alone", "EMAHook"),
        "self-supervision",
    ],
)
def test_wrappers_do_not_matter(how: str, tmp_path: Path) -> None:
    weights = scrambled(classifier(SMLPNET))
    torch.save(saved(weights, how), tmp_path / "x.pth")
    model = detector(pretrained(SMLPNET, tmp_path / "x.pth"))
    model.init_weights()
    assert_arrived(weights, model)


def test_the_authors_file_loads_as_it_is(
    spach_weights: dict, spach_network: dict, tmp_path: Path, log: list
) -> None:
    converted, _ = SPACH.convert(spach_weights)
    torch.save({"model": spach_weights, "epoch": 299}, tmp_path / "smlp_s.pth")
    parent = Parent(dict(pretrained(spach_network, tmp_path / "smlp_s.pth"), type="SMLPNet"))
    parent.init_weights()
    assert_arrived(converted, parent)
    assert about_loading(log)[0] == logging.INFO


def test_missing_and_unexpected_tensors_are_a_warning(tmp_path: Path, log: list) -> None:
    weights = scrambled(classifier(SMLPNET))
    del weights["backbone.stages.1.blocks.0.mlp.fc1.bias"]
    weights["backbone.stages.1.blocks.7.weight"] = weights["backbone.pos_embed"] = torch.zeros(1)
    torch.save(weights, tmp_path / "x.pth")
    detector(pretrained(SMLPNET, tmp_path / "x.pth")).init_weights()
    level, line = about_loading(log)
    assert level == logging.WARNING
    assert "1 missing (stages.1.blocks.0.mlp.fc1.bias)" in line
    assert "2 unexpected (pos_embed, stages.1.blocks.7.weight)" in line


@pytest.mark.parametrize("way", ["missing", "unexpected"])
def test_one_tensor_that_is_missing_or_unexpected_is_a_warning(
    way: str, tmp_path: Path, log: list
) -> None:
    weights = scrambled(SMLPNet(ARCH, img_size=64))
    if way == "missing":
        del weights["stages.1.blocks.0.mlp.fc1.bias"]
    else:
        weights["pos_embed"] = torch.zeros(1)
    torch.save(weights, tmp_path / "x.pth")
    MODELS.build(pretrained(SMLPNET, tmp_path / "x.pth")).init_weights()
    level, line = about_loading(log)
    assert level == logging.WARNING and f"1 {way}" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(in_channels=1),
            r"1 of another shape: stages\.0\.patch_embed\.weight is \(8, 3, 4, 4\) there "
            r"and \(8, 1, 4, 4\) here",
        ),
        (
            dict(arch=dict(ARCH, embed_dims=(12, 16, 24, 32))),
            r"\d+ of another shape: .* and \d+ more",
        ),
    ],
)
def test_another_shape_is_an_error(arguments: dict, message: str, tmp_path: Path) -> None:
    torch.save(SMLPNet(ARCH, img_size=64).state_dict(), tmp_path / "x.pth")
    backbone = SMLPNet(**{"arch": ARCH, "img_size": 64, **arguments})
    backbone.init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "x.pth"))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        backbone.init_weights()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), "something was loaded nevertheless"


def test_stages_that_were_not_built_are_not_missed(tmp_path: Path, log: list) -> None:
    weights = scrambled(classifier(SMLPNET))
    torch.save(weights, tmp_path / "x.pth")
    backbone = SMLPNet(ARCH, img_size=64, out_indices=(0, 1))
    backbone.init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "x.pth"), prefix="wrong")
    backbone.init_weights()
    for name, value in backbone.stages.state_dict().items():
        assert torch.equal(value, weights[f"backbone.stages.{name}"])
    unused = [k for k in weights if k.startswith(("backbone.stages.2", "backbone.stages.3"))]
    unused += [k for k in weights if k.startswith("backbone.norm3")]
    level, line = about_loading(log)
    assert level == logging.INFO
    assert "0 unexpected" in line
    assert f"{len(unused)} of stages that are not in use" in line


def test_pretrained_weights_come_after_all_other_initialisers(tmp_path: Path) -> None:
    source = scrambled(SMLPNet(ARCH, img_size=64))
    del source["stages.1.blocks.0.norm3.weight"]
    torch.save(source, tmp_path / "x.pth")
    source["stages.1.blocks.0.norm3.weight"] = torch.full((ARCH["embed_dims"][1],), 0.5)
    backbone = MODELS.build(
        dict(
            SMLPNET,
            init_cfg=[
                dict(type="Pretrained", checkpoint=str(tmp_path / "x.pth")),
                dict(type="Constant", layer=["LayerNorm", "BatchNorm2d", "Conv2d"], val=0.5),
            ],
        )
    )
    backbone.init_weights()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, source[name]), name


class Parent(BaseModule):
    def __init__(self, backbone: dict) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.fc = nn.Linear(2, 2)


def test_mmengines_books_say_where_each_parameter_is_from(tmp_path: Path, log: list) -> None:
    """It dumps them once, at the top, and counts the backbone as initialised."""
    torch.save(scrambled(classifier(SMLPNET)), tmp_path / "x.pth")
    parent = Parent(pretrained(SMLPNET, tmp_path / "x.pth"))
    parent.init_weights()
    assert parent.backbone.is_init and not hasattr(parent.backbone, "_params_init_info")
    books = {m.split(" - ")[0].strip(): m for _, m in log if " - torch.Size" in m}
    assert books.keys() == {name for name, _ in parent.named_parameters()}
    for name, entry in books.items():
        loaded = name.startswith(("backbone.stages", "backbone.norm3"))
        assert (f"Pretrained: load from {tmp_path / 'x.pth'}" in entry) is loaded, entry
    about_loading(log)
    parent.init_weights()
    about_loading(log)


def test_checkpoints_of_a_runner_are_not_removed(tmp_path: Path) -> None:
    """`load_from` and `--resume` load the network as it was saved, whatever init_cfg says."""
    from mmengine.runner import load_checkpoint

    weights = scrambled(detector(SMLPNET))
    torch.save({"state_dict": weights}, tmp_path / "detector.pth")
    model = detector(pretrained(SMLPNET, tmp_path / "does_not_exist.pth"))
    load_checkpoint(model, str(tmp_path / "detector.pth"), strict=True)
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name])
    with pytest.raises(CheckpointError, match=r"checkpoint '.*does_not_exist\.pth' does not exist"):
        model.init_weights()


def test_axial_maps_of_another_size_are_resized(tmp_path: Path, log: list) -> None:
    """W becomes UWD and b becomes Ub; all else is as it was saved."""
    weights = scrambled(classifier(SMLPNET))
    torch.save(weights, tmp_path / "x.pth")
    model = detector(pretrained(dict(SMLPNET, img_size=(96, 64)), tmp_path / "x.pth"))
    model.init_weights()
    resized = 0
    for name, value in model.backbone.stages.state_dict().items():
        saved = weights[f"backbone.stages.{name}"]
        if value.shape == saved.shape:
            assert torch.equal(value, saved)
            continue
        resized += 1
        assert "smlp.column" in name
        expected = resampling_matrix(len(saved), len(value)) @ saved
        if name.endswith("weight"):
            expected = expected @ resampling_matrix(len(value), len(saved))
        torch.testing.assert_close(value, expected)
    assert resized == 10
    level, line = about_loading(log)
    assert level == logging.INFO and "10 of them resized" in line


def test_half_an_axial_map_is_not_resized(tmp_path: Path) -> None:
    weights = scrambled(classifier(dict(SMLPNET, img_size=96)))
    del weights["backbone.stages.0.blocks.0.smlp.row.bias"]
    torch.save(weights, tmp_path / "x.pth")
    model = detector(pretrained(SMLPNET, tmp_path / "x.pth"))
    with pytest.raises(CheckpointError, match=r"cannot load .*: 1 of another shape: .*row\.weight"):
        model.init_weights()
