"""A run that is interrupted and resumed, beside one that is not."""

import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmsmlp.checkpoints import newest_checkpoint
from mmsmlp.engine.hooks import ExactResumeHook


class Noise(Dataset):
    """Each image is another each time that it is loaded, by all generators there are."""

    def __init__(self, length: int = 10) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        noise = torch.rand(4) + random.random() + float(np.random.rand())
        return dict(inputs=index + noise)


class Network(BaseModel):
    """Drops at random, with a batch norm; keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())
        self.seen = []

    def forward(self, inputs: Tensor, mode: str = "tensor") -> Any:
        if mode == "predict":
            return [torch.rand(1)]
        self.seen.append(inputs)
        return dict(loss=self.layers(inputs).square().mean())


class Terminate(Hook):
    """Sends the signal of a scheduler in an iteration."""

    def __init__(self, number: int) -> None:
        self.number = number

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter + 1 == self.number:
            for child in multiprocessing.active_children():
                os.system(f"kill {child.pid}")  # not from here: this process may end its children
            os.kill(os.getpid(), signal.SIGTERM)


LOOPS = {
    "iterations": (dict(by_epoch=False, max_iters=8, val_interval=3), "InfiniteSampler"),
    # The set has two batches and a bit.
    "iterations of epochs": (dict(by_epoch=False, max_iters=8, val_interval=3), "DefaultSampler"),
    "epochs": (dict(by_epoch=True, max_epochs=3), "DefaultSampler"),
}


def train(
    folder: Path,
    loop: str,
    num_workers: int = 0,
    stop: int | None = None,
    length: int = 10,
    train_data: dict | None = None,
    **wrapper: Any,
) -> Runner:
    train_cfg, sampler = LOOPS[loop]
    found = newest_checkpoint(folder)
    data = dict(
        dataset=Noise(length),
        batch_size=4,
        collate_fn=dict(type="default_collate"),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )
    runner = Runner(
        Network(),
        work_dir=str(folder),
        train_dataloader=dict(data, **{"sampler": dict(type=sampler), **(train_data or {})}),
        train_cfg=dict(train_cfg),
        val_dataloader=dict(
            data,
            num_workers=0,
            persistent_workers=False,
            sampler=dict(type="DefaultSampler", shuffle=False),
        ),
        val_cfg=dict(),
        val_evaluator=[],
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.1), **wrapper),
        param_scheduler=[dict(type="LinearLR", by_epoch=False, end=6)],
        default_hooks=dict(
            checkpoint=dict(
                type="mmsmlp.AtomicCheckpointHook", by_epoch=train_cfg["by_epoch"], interval=3
            ),
            logger=None,
        ),
        custom_hooks=[
            dict(type="EMAHook"),
            dict(type="mmsmlp.StopOnSignalHook"),
            dict(type="mmsmlp.ExactResumeHook"),
            *([Terminate(stop)] if stop else []),
        ],
        randomness=dict(seed=3),
        load_from=found[0] if found else None,
        resume=found is not None,
        experiment_name=f"noise_{uuid4()}",
    )
    runner.train()
    return runner


def everything(runner: Runner) -> dict[str, Tensor]:
    """Weights, their average, and the state of the optimiser."""
    (ema,) = (hook.ema_model for hook in runner.hooks if hasattr(hook, "ema_model"))
    state = runner.optim_wrapper.optimizer.state_dict()["state"]
    momenta = {f"{i}.{k}": v for i, entry in state.items() for k, v in entry.items()}
    return {**runner.model.state_dict(), **ema.state_dict(), **momenta}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Runner]:
    return {loop: train(tmp_path_factory.mktemp("unbroken"), loop) for loop in LOOPS}


# After the first iteration, within an epoch, at its end, and before the last iteration.
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("stop", "workers"), [(1, 0), (5, 0), (6, 0), (7, 0), (4, 1)])
def test_a_resumed_run_is_the_unbroken_one(
    loop: str,
    stop: int,
    workers: int,
    unbroken: dict[str, Runner],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as exit:
        train(tmp_path, loop, workers, stop)
    assert exit.value.code == 143
    line = f"stopped by SIGTERM at iteration {stop}; --resume continues"
    assert capsys.readouterr().err.splitlines()[-1] == line
    assert signal.getsignal(signal.SIGTERM) is before
    # With processes that load images, too: what these are does not depend on it.
    resumed, expected = train(tmp_path, loop, workers), unbroken[loop]
    assert resumed.iter == expected.iter
    # No batch twice, none left out, none loaded in vain.
    for got, seen in zip(resumed.model.seen, expected.model.seen[stop:], strict=True):
        assert torch.equal(got, seen)
    weights = everything(expected)
    for name, value in everything(resumed).items():
        assert torch.equal(value, weights[name]), name


def test_images_of_all_iterations_differ(unbroken: dict[str, Runner]) -> None:
    noise = torch.cat(unbroken["epochs"].model.seen) % 1
    assert len(noise.unique(dim=0)) == len(noise)


def test_each_process_augments_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for rank in range(2):
        monkeypatch.setattr("mmsmlp.engine.hooks.exact_resume.get_rank", lambda rank=rank: rank)
        seen.append(torch.cat(train(tmp_path / str(rank), "iterations").model.seen))
    first, second = (images.remainder(1) for images in seen)
    assert not torch.isclose(first, second).all(dim=1).any()


def test_the_network_has_random_numbers_of_its_own_in_each_iteration() -> None:
    def numbers(iteration: int) -> list[float]:
        ExactResumeHook().before_train_iter(SimpleNamespace(seed=3, iter=iteration))
        return torch.rand(4).tolist()

    assert numbers(7) == numbers(7) and numbers(7) != numbers(8)


def test_gradients_are_not_left_half_accumulated(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        train(tmp_path, "iterations", stop=4, accumulative_counts=3)
    _, checkpoint = newest_checkpoint(tmp_path)
    assert checkpoint["meta"]["iter"] == 6


class Numbers(Dataset):
    """Each image is its number."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.full((4,), float(index)))


def drawn(runner: Runner) -> list[int]:
    """The images that a run was trained on."""
    return [int(image[0]) for batch in runner.model.seen for image in batch]


def interrupted(folder: Path, loop: str, stop: int, length: int = 12, **data: Any) -> None:
    with pytest.raises(SystemExit):
        train(folder, loop, stop=stop, train_data=dict(dataset=Numbers(length), **data))


def resumed(folder: Path, loop: str, length: int = 12, **data: Any) -> Runner:
    return train(folder, loop, train_data=dict(dataset=Numbers(length), **data))


@pytest.mark.parametrize("batch_size", [2, 3, 4, 6])
def test_another_batch_size_trains_the_rest_of_the_epoch(batch_size: int, tmp_path: Path) -> None:
    whole = drawn(resumed(tmp_path / "whole", "epochs", batch_size=2))
    # Two iterations of two images in the second epoch.
    interrupted(tmp_path / "part", "epochs", stop=8, batch_size=2)
    rest = drawn(resumed(tmp_path / "part", "epochs", batch_size=batch_size))
    again = 4 % batch_size
    assert rest[: 8 + again] == whole[16 - again : 24]
    assert rest[8 + again :] == whole[24:]


@pytest.mark.parametrize(("batch_size", "length"), [(4, 12), (2, 8), (2, 20)])
def test_after_an_epoch_another_batch_size_or_data_set_trains_a_complete_epoch(
    batch_size: int, length: int, tmp_path: Path
) -> None:
    interrupted(tmp_path, "epochs", stop=6, batch_size=2)
    runner = resumed(tmp_path, "epochs", length, batch_size=batch_size)
    assert runner.epoch == 3
    assert sorted(drawn(runner)) == sorted(2 * list(range(length)))


@pytest.mark.parametrize("loop", ["epochs", "iterations"])
def test_other_data_or_another_sampler_restart_the_pass_with_a_line(
    loop: str, tmp_path: Path
) -> None:
    interrupted(tmp_path, loop, stop=2, batch_size=2)
    runner = resumed(tmp_path, loop, 10, batch_size=2)
    logs = "".join(path.read_text() for path in tmp_path.glob("*/*.log"))
    assert logs.count("the training set or its sampler was changed: pass 1 over the tra") == 1
    assert len(set(drawn(runner)[:10])) == 10


def test_a_larger_batch_of_an_endless_stream_continues_after_the_last_image(tmp_path: Path) -> None:
    whole = drawn(resumed(tmp_path / "whole", "iterations", batch_size=2))
    interrupted(tmp_path / "part", "iterations", stop=4, batch_size=2)
    rest = drawn(resumed(tmp_path / "part", "iterations", batch_size=4))
    assert rest[:8] == whole[8:] and len(rest) == 4 * 4


class Backwards:
    """A sampler that nobody knows."""

    def __init__(self, dataset: Dataset, **options: Any) -> None:
        self.length = len(dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(reversed(range(self.length)))

    def __len__(self) -> int:
        return self.length


@pytest.mark.parametrize("loop", ["epochs", "iterations of epochs"])
def test_an_unknown_sampler_is_left_to_mmengine_with_a_line(loop: str, tmp_path: Path) -> None:
    data = dict(sampler=dict(type=Backwards), batch_size=3)
    interrupted(tmp_path, loop, stop=2, **data)
    runner = resumed(tmp_path, loop, **data)
    logs = "".join(path.read_text() for path in tmp_path.glob("*/*.log"))
    assert logs.count("Backwards is left to mmengine: a resumed run may") == 2
    # mmengine starts an interrupted epoch anew, and skips iterations of a stream.
    first = range(11, -1, -1) if loop == "epochs" else range(5, -1, -1)
    assert drawn(runner)[: len(first)] == list(first)


def test_a_checkpoint_without_a_place_is_left_to_mmengine_with_a_line(tmp_path: Path) -> None:
    interrupted(tmp_path, "epochs", stop=8, batch_size=2)
    path, checkpoint = newest_checkpoint(tmp_path)
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint["meta"]["data_place"]
    torch.save(checkpoint, path)
    runner = resumed(tmp_path, "epochs", batch_size=2)
    assert sorted(drawn(runner)) == sorted(2 * list(range(12)))
    logs = "".join(path.read_text() for path in tmp_path.glob("*/*.log"))
    assert "does not say where in the data it was is left to mmengine" in logs
