"""The launchers, on networks of a second each and the real mini data format."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

import mmsmlp.datasets.mini.swap
from mmsmlp.errors import UsageError
from tests.helpers import (
    CONFIGS,
    IN_PROCESS,
    LIBRARY,
    METRIC,
    ROOT,
    losses,
    sampled,
    smallest,
    tool,
    write_config,
)

SHORT = {
    "detection": ["train_cfg.max_iters=3", "train_cfg.val_interval=3"],
    "segmentation": ["train_cfg.max_iters=3", "train_cfg.val_interval=3"],
    "classification": ["train_cfg.max_epochs=1", "train_cfg.val_interval=1"],
}


@pytest.fixture
def train(in_tiny_mini: Path) -> Callable[..., None]:
    """tools/train.py where the tiny mini data set stands for the full one."""
    main = tool("train")

    def train(*arguments: object) -> None:
        options = () if "--cfg-options" in arguments else ("--cfg-options",)
        main(*arguments, *options, *IN_PROCESS)

    return train


@pytest.mark.parametrize("task", sorted(CONFIGS))
def test_a_run_leaves_log_checkpoint_curve_and_sheet(
    task: str, train: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip(LIBRARY[task])
    config = write_config(tmp_path, task)
    work_dir = tmp_path / "work"
    options = ["--cfg-options", "default_hooks.logger.interval=1", *SHORT[task]]
    train(config, "--mini", "--work-dir", work_dir, *options)

    assert losses(work_dir) and np.isfinite(losses(work_dir)).all()
    for picture in ("loss_curve.png", "predictions.png"):
        pixels = matplotlib.image.imread(work_dir / picture)
        assert pixels.shape[0] > 100 and pixels.std() > 0.05, picture
    closing = capsys.readouterr().out[-4000:]
    assert METRIC[task] in closing
    written = dict(re.findall(r"^(log|checkpoint|loss curve|predictions): +(\S+)$", closing, re.M))
    assert set(written) == {"log", "checkpoint", "loss curve", "predictions"}
    assert all(Path(path).is_file() for path in written.values())

    checkpoint = written["checkpoint"]
    tool("test")(
        config, checkpoint, "--mini", "--work-dir", tmp_path / "test", "--cfg-options", *IN_PROCESS
    )
    assert METRIC[task] in capsys.readouterr().out[-4000:]
    assert (tmp_path / "test" / "predictions.png").is_file()

    folder = {"classification": "classification/val/ball"}.get(task, "images/val")
    image = min(Path("data/mini", folder).iterdir())
    tool("infer")(work_dir / config.name, checkpoint, image, "--out-dir", tmp_path / "out")
    assert f"predictions: {tmp_path / 'out'}" in capsys.readouterr().out
    (drawn,) = (tmp_path / "out" / "vis").iterdir()
    assert matplotlib.image.imread(drawn).std() > 0.05
    with pytest.raises(UsageError, match=r"there is no image, video or folder 'nowhere\.jpg'"):
        tool("infer")(work_dir / config.name, checkpoint, "nowhere.jpg")


def test_resume_continues_and_a_finished_run_is_only_evaluated(
    train: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("mmseg")
    config = write_config(tmp_path, "segmentation")
    work_dir = tmp_path / "work"

    def run(max_iters: int) -> str:
        train(
            *(config, "--mini", "--work-dir", work_dir, "--resume", "--cfg-options"),
            *("default_hooks.logger.interval=1", "default_hooks.checkpoint.interval=1"),
            *(f"train_cfg.max_iters={max_iters}", "train_cfg.val_interval=100"),
        )
        return capsys.readouterr().out

    run(2)
    run(4)
    assert len(losses(work_dir)) == 4
    state = (work_dir / "iter_4.pth").stat().st_mtime_ns
    closing = run(4)
    assert "iter_4.pth has finished training: evaluating it" in closing
    assert "mIoU" in closing
    assert len(losses(work_dir)) == 4
    assert (work_dir / "iter_4.pth").stat().st_mtime_ns == state


def test_with_nothing_to_resume_from_the_weights_of_the_config_are_loaded(
    train: Callable, tmp_path: Path
) -> None:
    pytest.importorskip("mmseg")
    config = write_config(tmp_path, "segmentation")
    short = ("train_cfg.max_iters=1", "train_cfg.val_interval=100")
    train(config, "--mini", "--work-dir", tmp_path / "first", "--cfg-options", *short)
    weights = tmp_path / "first" / "iter_1.pth"
    train(
        *(config, "--mini", "--work-dir", tmp_path / "second", "--resume", "--cfg-options"),
        *(*short, f"load_from={weights}", "optim_wrapper.optimizer.lr=0", "randomness.seed=1"),
    )
    before, after = (
        torch.load(path, weights_only=False)["state_dict"]
        for path in (weights, tmp_path / "second" / "iter_1.pth")
    )
    name = "backbone.stages.0.blocks.0.mlp.fc1.weight"
    assert torch.equal(before[name], after[name])


# What --mini may change in a model, by the last part of its name, and what it becomes.
NUM_CLASSES = {"mmdet": 5, "mmseg": 6, "mmpretrain": 5}
COUNTS = {
    "num_things_classes": 5,
    "nms_pre": mmsmlp.datasets.mini.swap.AT_MOST["nms_pre"],
    "max_per_img": mmsmlp.datasets.mini.swap.AT_MOST["max_per_img"],
    "num": mmsmlp.datasets.mini.swap.MAX_ROIS,
    "num_convs": 1,
    "sampling_ratio": 1,
    "drop_path_rate": 0,
}
NORMED = re.compile(r"(neck|mask_head(\.\d)?)\.norm_cfg\.type$")
SIZES = {"mmdet": (160, 160), "mmseg": (128, 128)}


@pytest.mark.parametrize("path", smallest(sorted((ROOT / "configs").glob("*.py"))))
def test_mini_changes_only_the_listed_settings_of_the_model(path: Path, train: Callable) -> None:
    """The full recipe, before and after: what differs is listed here."""
    from mmengine.config import Config

    full = Config.fromfile(path)
    pytest.importorskip(full.default_scope)
    mini = Config.fromfile(path)
    mmsmlp.datasets.mini.swap.use_mini(mini)

    def flat(node: object, prefix: str = "") -> dict[str, object]:
        if isinstance(node, list) and node and isinstance(node[0], dict):
            node = dict(enumerate(node))
        if not isinstance(node, dict):
            return {prefix: node}
        return {k: v for key in node for k, v in flat(node[key], f"{prefix}.{key}").items()}

    def changed(part: str) -> dict[str, object]:
        before, after = flat(full[part].to_dict()), flat(mini[part].to_dict())
        return {
            key.lstrip("."): after.get(key)
            for key in before | after
            if after.get(key) != before.get(key)
        }

    num_classes = NUM_CLASSES[full.default_scope]
    expected = dict(COUNTS, num_classes=num_classes, size=SIZES.get(full.default_scope))
    # One weight for each class, and one for no object.
    expected["class_weight"] = [1.0] * num_classes + [0.1]
    differences = changed("model")
    normed = set(filter(NORMED.search, differences))
    counts = differences.keys() - normed
    assert {key: differences[key] for key in counts} == {
        key: expected[key.rpartition(".")[2]] for key in counts
    }
    assert all(differences[key] == "BN" for key in normed)
    assert {"num_classes", "num_things_classes"} & {k.rpartition(".")[2] for k in differences}
    # RoI heads sample from all that is proposed.
    sampled = [key for key in differences if key.endswith("sampler.num")]
    assert bool(sampled) == ("roi_head" in full.model)
    assert set(changed("optim_wrapper")) <= {
        *("optimizer.lr", "optimizer.fused", "accumulative_counts")
    }
    assert mini.optim_wrapper.accumulative_counts == 1
    # The schedule ends where training does.
    end, last = mini.param_scheduler[-1].get("end"), mini.train_cfg.get("max_iters")
    assert end == last == mini.train_cfg.val_interval or end is last is None
    # An average of weights is one over the short schedule, and goes by its steps; statistics of
    # norms are of fewer images.
    hooks = {
        "EMAHook": dict(momentum=mmsmlp.datasets.mini.swap.EMA_MOMENTUM, interval=1),
        "mmsmlp.PreciseBNHook": dict(num_images=16),
    }
    for before, after in zip(
        full.get("custom_hooks") or [], mini.get("custom_hooks") or [], strict=True
    ):
        assert after == {**before, **hooks[before["type"]]}


def test_auto_scaling_counts_accumulated_steps(train: Callable, tmp_path: Path) -> None:
    pytest.importorskip("mmpretrain")
    config = write_config(tmp_path, "classification")
    work_dir = tmp_path / "work"
    train(
        *(config, "--mini", "--work-dir", work_dir, "--auto-scale-lr", "--cfg-options"),
        *("train_dataloader.batch_size=4", "optim_wrapper.accumulative_counts=3"),
        *("auto_scale_lr.base_batch_size=48", "optim_wrapper.optimizer.lr=0.01"),
        *("param_scheduler=[]", "default_hooks.logger.interval=1", *SHORT["classification"]),
    )
    (scalars,) = work_dir.glob("*/vis_data/scalars.json")
    rates = {
        entry["lr"]
        for line in scalars.read_text().splitlines()
        if "lr" in (entry := json.loads(line))
    }
    # 4 images × 3 steps are a quarter of 48.
    assert rates == {0.0025}


def test_a_missing_data_set_is_named_with_the_way_out(train: Callable) -> None:
    pytest.importorskip("mmdet")
    with pytest.raises(UsageError) as error:
        train(ROOT / "configs" / "mask_rcnn_smlpnet_t.py")
    message = str(error.value)
    assert "data/coco/annotations/instances_train2017.json" in message
    assert str(Path.cwd()) in message and "--mini" in message


def test_missing_images_are_named(train: Callable, tmp_path: Path) -> None:
    config = write_config(tmp_path, "segmentation")
    options = ["--cfg-options", "val_dataloader.dataset.data_prefix.img_path=nowhere"]
    with pytest.raises(UsageError, match=r"val_dataloader: there is no data/mini/nowhere"):
        train(config, "--mini", *options)


def test_a_misspelt_config_is_one_line_with_a_suggestion() -> None:
    result = subprocess.run(
        [sys.executable, "tools/train.py", "configs/mask_rcnn_smlpnet_tt.py"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "error: config 'configs/mask_rcnn_smlpnet_tt.py' does not exist; "
        "did you mean configs/mask_rcnn_smlpnet_t.py"
    )
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU it is another one")
@pytest.mark.parametrize("task", sampled(["detection", "classification", "segmentation"], 3))
def test_mixed_precision_without_a_gpu_is_bfloat16(
    train: Callable, tmp_path: Path, task: str
) -> None:
    pytest.importorskip(LIBRARY[task])
    config, seen = write_config(tmp_path, task), set()

    def look(module: torch.nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(module, torch.nn.Conv2d) and torch.is_grad_enabled():
            seen.add(output.dtype)

    with torch.nn.modules.module.register_module_forward_hook(look):
        options = ["--cfg-options", "default_hooks.logger.interval=1", *SHORT[task]]
        train(config, "--mini", "--amp", "--work-dir", tmp_path / "work", *options)
    assert seen == {torch.bfloat16}
    assert len(losses(tmp_path / "work")) >= 1 and np.isfinite(losses(tmp_path / "work")).all()


def test_a_missing_checkpoint_to_resume_from_is_named(train: Callable, tmp_path: Path) -> None:
    config = write_config(tmp_path, "segmentation")
    with pytest.raises(UsageError, match=r"checkpoint 'nowhere\.pth' does not exist"):
        train(config, "--mini", "--resume", "nowhere.pth")


def test_mini_without_a_known_scope_is_refused(train: Callable, tmp_path: Path) -> None:
    config = tmp_path / "scopeless.py"
    config.write_text("model = dict()")
    with pytest.raises(UsageError, match="--mini: default_scope must be one of"):
        train(config, "--mini")


def test_a_missing_checkpoint_is_named(train: Callable, tmp_path: Path) -> None:
    config = write_config(tmp_path, "segmentation")
    with pytest.raises(UsageError, match=r"checkpoint 'nowhere\.pth' does not exist"):
        tool("test")(config, "nowhere.pth", "--mini")
