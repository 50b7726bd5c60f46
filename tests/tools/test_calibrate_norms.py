"""The calibration tool, on networks of a second each and the real mini data format."""

import json
from collections.abc import Callable
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmsmlp.errors import CheckpointError, UsageError
from tests.helpers import tool, write_config

pytest.importorskip("mmdet")


@pytest.fixture
def calibrate(in_tiny_mini: Path, tmp_path: Path) -> Callable:
    """The tool, on a small detector and where the tiny mini data set stands for the full one."""
    config = write_config(tmp_path, "detection")

    def run(checkpoint: Path, *arguments: object) -> dict:
        out = tmp_path / "new" / "out.pth"
        tool("calibrate_norms")(
            *(config, checkpoint, "--out", out, "--mini", "--work-dir", tmp_path / "work"),
            *(*arguments, "--cfg-options", "train_dataloader.dataset.pipeline.2.prob=0.0"),
        )
        return torch.load(out)

    return run


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of the small detector, with weights and statistics that are nobody's default."""
    cfg = Config.fromfile(write_config(tmp_path, "detection"))
    init_default_scope("mmdet")
    model = MODELS.build(cfg.model)
    generator = torch.Generator().manual_seed(0)
    state = {
        name: torch.randn(value.shape, generator=generator).abs()
        if value.is_floating_point()
        else value
        for name, value in model.state_dict().items()
    }
    path = tmp_path / "in.pth"
    torch.save(dict(state_dict=state, meta=dict(epoch=3), optimizer=dict(lr=1.0)), path)
    return path


def test_only_the_statistics_change_and_to_those_of_the_images(
    calibrate: Callable, checkpoint: Path, tiny_mini: Path, capsys: pytest.CaptureFixture
) -> None:
    before, after = torch.load(checkpoint), calibrate(checkpoint, "--images", 10000)
    state, new = before.pop("state_dict"), after.pop("state_dict")
    assert after == before
    assert new.keys() == state.keys()
    changed = {name for name in state if not torch.equal(state[name], new[name])}
    running = {name for name in state if name.endswith(("running_mean", "running_var"))}
    # The statistics of heads are not looked at; this detector has none.
    assert changed == running and all(name.startswith("backbone.") for name in running)

    # The first norm sees the embedded patches of all images.
    data = tiny_mini / "data/mini"
    coco = json.loads((data / "annotations/instances_train.json").read_text())
    annotated = {annotation["image_id"] for annotation in coco["annotations"]}
    weight = state["backbone.stages.0.patch_embed.weight"].double()
    tokens = []
    for entry in coco["images"]:
        if entry["id"] in annotated:
            image = mmcv.imread(str(data / "images/train" / entry["file_name"]))
            mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
            x = torch.from_numpy((image[..., ::-1] - mean) / std).permute(2, 0, 1)[None]
            h, w = x.shape[2:]
            x = torch.nn.functional.pad(x, (0, -w % 4, 0, -h % 4))
            tokens.append(torch.conv2d(x, weight, stride=4)[0].flatten(1))
    tokens = torch.cat(tokens, dim=1).numpy()
    norm = "backbone.stages.0.blocks.0.norm1"
    np.testing.assert_allclose(new[f"{norm}.running_mean"], tokens.mean(axis=1), rtol=1e-3)
    np.testing.assert_allclose(new[f"{norm}.running_var"], tokens.var(axis=1), rtol=1e-3)
    assert f"{len(running) // 2} batch norms, {len(annotated)} images" in capsys.readouterr().out


def test_norms_that_the_checkpoint_lacks_are_written_as_well(
    calibrate: Callable, checkpoint: Path
) -> None:
    """A classifier has no norms for the outputs of the first stages, and a head of its own."""
    whole = torch.load(checkpoint)
    state = whole["state_dict"]
    lacking = {
        name: value
        for name, value in state.items()
        if name.startswith(("backbone.stages", "backbone.norm3"))
    }
    torch.save(dict(whole, state_dict={**lacking, "head.fc.bias": torch.ones(7)}), checkpoint)
    added = calibrate(checkpoint)["state_dict"].keys() - lacking.keys()
    names = {f"backbone.norm{i}.running_{of}" for i in range(3) for of in ("mean", "var")}
    assert added == {"head.fc.bias", *names}


def test_the_checkpoint_of_another_network_is_refused(calibrate: Callable, tmp_path: Path) -> None:
    torch.save(dict(state_dict={"layer1.weight": torch.ones(1)}), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"it is of something else: .* it has layer1"):
        calibrate(tmp_path / "other.pth")


def test_an_error_that_a_user_can_fix_is_named(calibrate: Callable, checkpoint: Path) -> None:
    with pytest.raises(UsageError, match=r"checkpoint 'nowhere\.pth' does not exist"):
        calibrate("nowhere.pth")
    with pytest.raises(UsageError, match="--images must be at least 1, got 0"):
        calibrate(checkpoint, "--images", 0)


def test_a_model_without_batch_norms_is_named(
    calibrate: Callable, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "small_detection.py"
    config.write_text(
        config.read_text()
        .replace("mmsmlp.SMLPNet", "mmsmlp.S2MLPv2")
        .replace("mlp_ratio=2", "mlp_ratio=2, patch_sizes=(4, 2, 2, 2)")
    )
    init_default_scope("mmdet")
    torch.save(MODELS.build(Config.fromfile(config).model).state_dict(), checkpoint)
    with pytest.raises(UsageError, match="no batch norm whose statistics may change"):
        tool("calibrate_norms")(
            *(config, checkpoint, "--out", tmp_path / "out.pth", "--mini"),
            *("--work-dir", tmp_path / "work"),
        )
    assert not (tmp_path / "out.pth").exists()
