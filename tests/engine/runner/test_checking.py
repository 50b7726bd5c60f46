"""What the launchers check before anything slow starts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsmlp.engine.runner import check_data, run
from mmsmlp.errors import CheckpointError, UsageError


def config(dataset: dict) -> Config:
    return Config(dict(train_dataloader=dict(dataset=dataset)))


def test_wrapped_data_sets_are_looked_into(tmp_path: Path) -> None:
    (tmp_path / "there.json").touch()
    there = dict(type="A", data_root=str(tmp_path), ann_file="there.json")
    missing = dict(type="B", data_root=str(tmp_path), data_prefix=dict(img="images"))
    wrap = dict(type="RepeatDataset", dataset=dict(type="ConcatDataset", datasets=[there, missing]))
    with pytest.raises(UsageError, match=r"train_dataloader: there is no .*/images \("):
        check_data(config(wrap), "train")
    (tmp_path / "images").mkdir()
    check_data(config(wrap), "train")


def test_an_empty_pipeline_of_a_test_set_is_an_error() -> None:
    part = dict(type="A", pipeline=[])
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type="ConcatDataset", datasets=[part]))))
    with pytest.raises(UsageError, match=r"^test_dataloader: pipeline must have steps, got \[\]$"):
        check_data(cfg, "test")
    part.pop("pipeline")  # a data set of one's own may have no such argument
    check_data(Config(dict(test_dataloader=dict(dataset=part))), "test")


@pytest.mark.parametrize(
    "dataset",
    [
        dict(type="A", ann_file="s3://bucket/annotations.json"),
        dict(type="A", data_root="s3://bucket/", ann_file="annotations.json"),
        dict(type="A", ann_file="", data_prefix=""),
        dict(type="A"),
    ],
)
def test_data_that_are_not_on_disk_are_not_checked(dataset: dict) -> None:
    check_data(config(dataset), "train", "val")


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize("error", [UsageError, CheckpointError])
def test_an_error_that_a_user_can_fix_is_one_line(error: type[Exception]) -> None:
    with pytest.raises(SystemExit, match=r"^error: no such thing$"):
        run(raising(error("no such thing")))


def test_an_interrupted_tool_reports_its_state(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        run(raising(KeyboardInterrupt()))
    assert stop.value.code == 130
    assert capsys.readouterr().err == "\ninterrupted; nothing was written\n"
    with pytest.raises(SystemExit):
        run(raising(KeyboardInterrupt()), interrupted="do it again")
    assert capsys.readouterr().err == "\ninterrupted; do it again\n"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()))
