"""Checkpoints of a run that may end at any moment."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmsmlp.checkpoints import newest_checkpoint, read_checkpoint


class Line(BaseModel):
    """One weight, which each iteration raises by one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor, mode: str = "tensor") -> Any:
        if mode == "predict":
            return [self.weight.item()] * len(inputs)
        return dict(loss=-self.weight.sum())


class Scores(BaseMetric):
    """The score of each iteration."""

    def __init__(self, scores: Sequence[float]) -> None:
        super().__init__()
        self.scores = scores

    def process(self, data_batch: Any, data_samples: list) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict:
        return dict(acc=self.scores[int(results[0]) - 1])


class Zeros(Dataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.zeros(1))


DATA = dict(
    dataset=Zeros(),
    batch_size=1,
    sampler=dict(type="InfiniteSampler"),
    collate_fn=dict(type="default_collate"),
)


def train(folder: Path, max_iters: int, scores: tuple = (), **options: Any) -> Runner:
    hook = dict(type="mmsmlp.AtomicCheckpointHook", by_epoch=False, interval=1, **options)
    validation = dict(
        val_dataloader=dict(DATA, sampler=dict(type="DefaultSampler", shuffle=False)),
        val_cfg=dict(),
        val_evaluator=[Scores(scores)],
    )
    found = newest_checkpoint(folder)
    runner = Runner(
        Line(),
        work_dir=str(folder),
        train_dataloader=DATA,
        train_cfg=dict(by_epoch=False, max_iters=max_iters, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1.0)),
        default_hooks=dict(checkpoint=hook, logger=None),
        load_from=found[0] if found else None,
        resume=found is not None,
        custom_hooks=[dict(type="mmsmlp.ExactResumeHook")],
        experiment_name=f"line_{uuid4()}",
        **(validation if scores else {}),
    )
    runner.train()
    return runner


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".py" and path.is_file()}


class Killed(BaseException):
    pass


def steps(patch: pytest.MonkeyPatch, last: int | None = None) -> list[str]:
    """What is done to checkpoints, one after the other; number ``last`` does not happen."""
    done = []

    def watch(owner: object, name: str) -> None:
        function = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if ".py" not in str(args[0]):  # the config
                if len(done) == last:
                    raise Killed
                done.append(name)
            return function(*args, **kwargs)

        patch.setattr(owner, name, watched)

    for owner, name in ((os, "fsync"), (os, "replace"), (Path, "unlink")):
        watch(owner, name)
    return done


def test_after_any_interruption_there_is_a_complete_checkpoint(tmp_path: Path) -> None:
    """Those of mmengine's hook are gone, torn, or not what `last_checkpoint` names."""
    arguments = dict(max_iters=2, scores=(1.0, 2.0), max_keep_ckpts=1, save_best="acc")
    with pytest.MonkeyPatch.context() as patch:
        done = steps(patch)
        train(tmp_path / "whole", **arguments)
    expected = files(tmp_path / "whole")
    assert expected == {"last_checkpoint", "iter_2.pth", "best_acc_iter_2.pth"}
    # Of each iteration the checkpoint, the best one, and the checkpoint once more.
    assert done.count("replace") == 2 * 3
    for number in range(len(done) // 2 - 2, len(done)):
        folder = tmp_path / str(number)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            steps(patch, number)
            train(folder, **arguments)
        assert newest_checkpoint(folder)
        train(folder, **arguments)
        assert read_checkpoint(folder / "iter_2.pth")["state_dict"]["weight"].item() == 2
        assert files(folder) == expected


def test_old_checkpoints_go_when_the_new_one_is_there(tmp_path: Path) -> None:
    train(tmp_path, 4, max_keep_ckpts=2)
    assert files(tmp_path) == {"iter_3.pth", "iter_4.pth", "last_checkpoint"}
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_4.pth")


def test_the_best_one_is_kept_until_there_is_a_better_one(tmp_path: Path) -> None:
    train(tmp_path, 4, (1.0, 3.0, 2.0, 0.0), max_keep_ckpts=1, save_best="acc")
    assert files(tmp_path) == {"iter_4.pth", "best_acc_iter_2.pth", "last_checkpoint"}
    assert read_checkpoint(tmp_path / "best_acc_iter_2.pth")["state_dict"]["weight"].item() == 2


def test_incomplete_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    train(tmp_path, 2, max_keep_ckpts=1)
    (tmp_path / ".iter_3.pth.1.part").write_bytes(b"half")
    # Killed after the new checkpoint was there and before the old one was removed.
    (tmp_path / "iter_1.pth").write_bytes((tmp_path / "iter_2.pth").read_bytes())
    train(tmp_path, 2, max_keep_ckpts=1)
    assert files(tmp_path) == {"iter_2.pth", "last_checkpoint"}
