"""The tool around the swap: what it writes, and what it refuses."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

sys.path.append(str(Path(__file__).parents[2] / "tools"))
import swap_backbone

from mmsmlp.launch import UsageError

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
            "cannot take smlpnet_t: its backbone cannot be built: ValueError: .*img_size must be",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_nothing_is_written(
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


def test_what_exists_is_replaced_only_by_force(swap: Callable, tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    out = tmp_path / "new.py"
    out.write_text("a = 1")
    with pytest.raises(UsageError, match="exists; --force replaces it"):
        swap(RETINANET, "--backbone", "smlpnet_t", "--out", out)
    assert out.read_text() == "a = 1"
