"""The tool around the swap: what it writes, and what it refuses."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

sys.path.append(str(Path(__file__).parents[2] / "tools"))
import swap_backbone

from mmsmlp.errors import CheckpointError, UsageError
from mmsmlp.models.backbones import SMLPNet
from mmsmlp.models.layers.axial import resize_axial_map
from mmsmlp.swap import build_model

RETINANET = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"


@pytest.fixture
def swap(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def main(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["swap_backbone", *map(str, arguments)])
        swap_backbone.main()

    return main


def test_a_config_of_ones_own_is_inherited_from(
    swap: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("mmdet")
    mine = tmp_path / "mine.py"
    mine.write_text(f"_base_ = '{RETINANET}'\nmodel = dict(bbox_head=dict(num_classes=3))\n")
    out = tmp_path / "new.py"
    swap(mine, "--backbone", "smlpnet_t", "--out", out, "--keep-optimizer")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "new.py"}
    assert "_base_ = 'mine.py'" in out.read_text()
    old, new = Config.fromfile(mine), Config.fromfile(out)
    assert new.model.backbone.out_indices == (1, 2, 3)
    assert new.model.neck.in_channels == [160, 320, 640]
    assert new.model.bbox_head == old.model.bbox_head
    assert new.optim_wrapper == old.optim_wrapper
    assert "built and run on an image" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ("nowhere.py", [], "config 'nowhere.py' does not exist"),
        (
            RETINANET,
            ["--backbone", "smlpnet_x"],
            r"there is no backbone 'smlpnet_x' \(nearest: ",
        ),
        (RETINANET, ["--checkpoint", "no.pth"], "checkpoint 'no.pth' does not exist"),
        (RETINANET, ["--out", "new.yaml"], r"--out must end in \.py"),
        (RETINANET, ["--out", "no/new.py"], "there is no folder 'no'"),
        (
            "mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py",
            [],
            r"cannot take smlpnet_t: shared_head \(ResLayer\) of StandardRoIHead",
        ),
        (
            RETINANET,
            ["--backbone-options", "img_size=-1"],
            "cannot take smlpnet_t: its backbone cannot be built: ValueError: .*img_size must",
        ),
    ],
)
def test_a_wrong_argument_is_an_error_of_one_line_and_nothing_is_written(
    swap: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    options: list[str],
    message: str,
) -> None:
    pytest.importorskip("mmdet")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message) as error:
        swap(config, "--backbone", "smlpnet_t", "--out", "new.py", *options)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_of_a_classifier_of_another_size_arrive(swap: Callable, tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    source = SMLPNet("tiny", img_size=64).state_dict()
    weights = {f"backbone.{name}": value for name, value in source.items()}
    torch.save(dict(state_dict={**weights, "head.fc.bias": torch.zeros(1000)}), tmp_path / "x.pth")
    checkpoint = str(tmp_path / "x.pth")
    out = tmp_path / "new.py"
    swap(RETINANET, "--backbone", "smlpnet_t", "--checkpoint", checkpoint, "--out", out)
    model = build_model(Config.fromfile(out))
    for name in ("stages.0.blocks.1.dwconv.weight", "stages.3.blocks.0.mlp.fc1.weight"):
        assert torch.equal(model.backbone.state_dict()[name], source[name])
    row = "stages.1.blocks.0.smlp.row.weight"
    resized, _ = resize_axial_map(source[row], torch.zeros(8), 28)
    torch.testing.assert_close(model.backbone.state_dict()[row], resized)


def test_published_weights_are_named_in_the_new_config_and_tried(
    swap: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their file is wanted before anything is written; without a network the error says where."""
    pytest.importorskip("mmdet")
    monkeypatch.setenv("MMSMLP_WEIGHTS", str(tmp_path))
    (tmp_path / "CycleMLP_B1.pth").write_bytes(b"half a file")
    out = tmp_path / "new.py"
    with pytest.raises(CheckpointError, match=r"CycleMLP_B1\.pth' is not a checkpoint"):
        swap(RETINANET, "--backbone", "cyclemlp_b1", "--weights", "auto", "--out", out)
    assert not out.exists()
    monkeypatch.setattr(swap_backbone, "build_model", lambda cfg: torch.nn.Identity())
    swap(
        *(RETINANET, "--backbone", "cyclemlp_b1", "--weights", "auto"),
        *("--out", out, "--no-forward"),
    )
    init_cfg = Config.fromfile(out).model.backbone.init_cfg
    assert (init_cfg.type, init_cfg.checkpoint) == ("Pretrained", "mmsmlp://cyclemlp_b1_in1k")


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("cyclemlp_b1", "cyclemlp_b2_in1k", "of cyclemlp_b1; there are cyclemlp_b1_in1k"),
        ("s2mlpv2_s4", "auto", "of s2mlpv2_s4; published are smlpnet_s_in1k"),
    ],
)
def test_weights_of_another_backbone_are_refused(
    swap: Callable, tmp_path: Path, backbone: str, weights: str, message: str
) -> None:
    pytest.importorskip("mmdet")
    out = tmp_path / "new.py"
    with pytest.raises(UsageError, match=message):
        swap(RETINANET, "--backbone", backbone, "--weights", weights, "--out", out)
    assert not out.exists()


def test_an_existing_file_is_replaced_only_by_force(swap: Callable, tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    out = tmp_path / "new.py"
    out.write_text("a = 1")
    with pytest.raises(UsageError, match="exists; --force replaces it"):
        swap(RETINANET, "--backbone", "smlpnet_t", "--out", out)
    assert out.read_text() == "a = 1"
