"""Files that hold code, given to each tool in each of the ways it takes a checkpoint."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmsmlp.checkpoints import guard_loading
from mmsmlp.errors import CheckpointError
from tests.helpers import tool, write_config

pytest.importorskip("mmseg")


class Code:
    """Makes a folder where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test after this one read as its tool has mmengine read."""
    monkeypatch.setattr(CheckpointLoader, "_schemes", CheckpointLoader._schemes.copy())


@pytest.fixture
def give(in_tiny_mini: Path, tmp_path: Path, schemes: None) -> Callable[..., None]:
    """Give a tool a checkpoint, in one of the ways that there are."""
    config, work_dir = write_config(tmp_path, "segmentation"), tmp_path / "work"
    pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
    with config.open("a") as file:
        file.write(f"test_dataloader = dict(dataset=dict(pipeline={pipeline}))\n")
    image = min(Path("data/mini/images/val").iterdir())

    def give(way: str, content: dict[str, Any], *flags: str) -> None:
        work_dir.mkdir(exist_ok=True)
        path = work_dir / "iter_1.pth"
        torch.save(content, path)
        (work_dir / "last_checkpoint").write_text(str(path))
        run = ["--mini", "--work-dir", work_dir, *flags]
        short = ["train_cfg.max_iters=2", "train_cfg.val_interval=9"]
        tool(way.split()[0])(
            config,
            *{
                "train --resume FILE": [*run, "--resume", path, "--cfg-options", *short],
                "train --resume": [*run, "--resume", "--cfg-options", *short],
                "train load_from": [*run, "--cfg-options", *short, f"load_from={path}"],
                "test": [path, *run],
                "infer": [path, image, "--out-dir", tmp_path / "out", *flags],
                "calibrate_norms": [path, "--out", tmp_path / "new.pth", "--images", 1, *run],
                "measure_padding": [path, "--images", 1, *run],
            }[way],
        )

    return give


WAYS = (
    *("train --resume FILE", "train --resume", "train load_from"),
    *("test", "infer", "calibrate_norms", "measure_padding"),
)


@pytest.mark.parametrize("way", WAYS)
def test_code_in_a_checkpoint_is_refused_and_not_run(
    way: str, give: Callable, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    content = dict(
        meta=dict(iter=1, epoch=0, code=Code(trace)), state_dict={}, message_hub={}, optimizer={}
    )
    with pytest.raises(CheckpointError, match=r"\(posix\.mkdir\): refused, none of it was run"):
        give(way, content)
    assert not trace.exists()


@pytest.mark.parametrize("way", ["test", "train --resume"])
def test_code_in_a_trusted_checkpoint_is_run(way: str, give: Callable, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    content = dict(meta=dict(iter=1, epoch=0), state_dict={"x": Code(trace)}, message_hub={})
    with pytest.raises(Exception, match=r"no optimizer|its x is a NoneType"):
        give(way, content, "--trust-checkpoint")
    assert trace.exists()


def test_a_checkpoint_with_its_config_is_not_run_either(give: Callable, tmp_path: Path) -> None:
    """To resume from it, mmengine would run that as Python."""
    trace = tmp_path / "trace"
    meta = dict(iter=1, epoch=0, config=f"import os\nos.mkdir({str(trace)!r})")
    content = dict(meta=meta, state_dict={}, message_hub={}, optimizer={})
    path = tmp_path / "x.pth"
    torch.save(content, path)
    guard_loading()
    assert "config" not in CheckpointLoader.load_checkpoint(str(path))["meta"]
    assert not trace.exists()


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_of_something_else_is_refused(way: str, give: Callable) -> None:
    content = dict(
        meta=dict(iter=1, epoch=0),
        state_dict=dict(nothing=torch.zeros(1)),
        message_hub={},
        optimizer={},
    )
    with pytest.raises(CheckpointError) as error:
        give(way, content)
    assert re.search(
        r"^cannot load '.*iter_1\.pth': it is of something else: 0 of the model's \d+ tensors are "
        r"in it, it lacks backbone\..* more; it has nothing$",
        str(error.value),
    )
