"""The checkpoint that an interrupted run resumes from."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmsmlp.checkpoints import newest_checkpoint
from mmsmlp.engine.runner import resume_from
from mmsmlp.errors import CheckpointError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a run with checkpoints of iterations 80 and 160, the latter the newer one."""
    for number in (80, 160):
        path = tmp_path / f"iter_{number}.pth"
        content = dict(meta=dict(iter=number, seed=5), state_dict={}, message_hub={}, optimizer={})
        torch.save(content, path)
        os.utime(path, (number, number))
    torch.save(dict(meta=dict(iter=999)), tmp_path / "best_acc_iter_999.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_160.pth"))
    return tmp_path


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def found(folder: Path) -> tuple[int | None, list[str]]:
    lines = []
    newest = newest_checkpoint(folder, lines.append)
    return newest and newest[1]["meta"]["iter"], lines


def test_the_one_that_is_named_is_taken_without_a_word(folder: Path) -> None:
    assert found(folder) == (160, [])
    (folder / "last_checkpoint").write_text(str(folder / "iter_80.pth"))
    assert found(folder) == (80, [])


def test_a_torn_one_gives_way_to_the_one_before(folder: Path) -> None:
    tear(folder / "iter_160.pth")
    number, (line,) = found(folder)
    assert number == 80
    assert line == (
        f"'{folder}/iter_160.pth' is not a checkpoint, or is cut short; "
        f"resuming from {folder}/iter_80.pth"
    )


@pytest.mark.parametrize("content", [None, "", "nowhere/iter_240.pth"])
def test_without_the_one_that_is_named_the_newest_is_taken(
    content: str | None, folder: Path
) -> None:
    """As mmengine's hook leaves it where it is killed: it removes, writes, and names then."""
    (folder / "last_checkpoint").unlink()
    if content is not None:
        (folder / "last_checkpoint").write_text(content)
    number, (line,) = found(folder)
    assert number == 160
    assert line.startswith(f"{folder}/last_checkpoint names no checkpoint that exists; resuming")


def test_a_folder_may_be_moved(folder: Path) -> None:
    (folder / "last_checkpoint").write_text("before/it/was/moved/iter_80.pth")
    assert found(folder) == (80, [])


def test_without_a_complete_checkpoint_a_run_starts_again(folder: Path) -> None:
    for number in (80, 160):
        tear(folder / f"iter_{number}.pth")
    number, (line,) = found(folder)
    assert number is None and line.endswith("is cut short; starting from the beginning")
    assert found(folder / "empty") == (None, [])


def test_a_file_that_holds_code_is_not_passed_over(folder: Path) -> None:
    torch.save({"meta": {"iter": 160}, "x": os.getcwd}, folder / "iter_160.pth")
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        newest_checkpoint(folder)


def test_a_resumed_run_has_the_seed_that_it_began_with(folder: Path) -> None:
    cfg = Config(dict(work_dir=str(folder), train_cfg=dict(max_iters=200)))
    assert not resume_from(cfg, "auto")
    assert cfg.randomness["seed"] == 5 and cfg.resume
    assert cfg.load_from == str(folder / "iter_160.pth")
    cfg.train_cfg.max_iters = 160
    assert resume_from(cfg, "auto")


@pytest.mark.parametrize("lacking", ["meta", "message_hub", "optimizer"])
def test_weights_alone_cannot_be_resumed(lacking: str, folder: Path) -> None:
    path = folder / "iter_160.pth"
    content = torch.load(path)
    del content[lacking]
    torch.save(content, path)
    cfg = Config(dict(work_dir=str(folder), train_cfg=dict(max_iters=200)))
    with pytest.raises(
        UsageError, match=rf"iter_160\.pth has no (iter in its )?{lacking} .* load_from="
    ):
        resume_from(cfg, str(path))
