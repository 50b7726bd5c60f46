"""Checkpoints as others wrote them, and files that are none."""

import argparse
import json
import os
import sys
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from torch import nn

from mmsmlp.checkpoints import io, read_checkpoint, weights_of
from mmsmlp.errors import CheckpointError

TENSORS = {"a": torch.arange(3.0)}


class Code:
    """Makes a folder where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


@pytest.fixture(params=["torch's own unpickler", "ours, for an older torch"], autouse=True)
def unpickler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param.startswith("ours"):
        monkeypatch.setattr(io, "CAN_SKIP_BYSTANDERS", False)
    elif not io.CAN_SKIP_BYSTANDERS:
        pytest.skip("this torch is an older one")


def test_tensors_are_read_and_other_objects_are_not_made(tmp_path: Path) -> None:
    """As the authors of sMLPNet save it."""
    torch.save(
        {
            "model": TENSORS,
            "args": argparse.Namespace(lr=1e-3),
            "numpy": [np.float64(1), np.ones(3), np.int32(1)],
            "meta": {"epoch": 3},
        },
        tmp_path / "x.pth",
    )
    checkpoint = read_checkpoint(tmp_path / "x.pth")
    assert torch.equal(checkpoint["model"]["a"], TENSORS["a"])
    assert checkpoint["meta"] == {"epoch": 3}
    assert not isinstance(checkpoint["args"], argparse.Namespace)


def test_a_run_reads_its_saved_state(tmp_path: Path) -> None:
    """All that a runner saves beside tensors, as it was; and functions of its own stay away."""
    buffer = HistoryBuffer([1.0, 2.0], [1, 1], 5)
    state = {
        "state_dict": OrderedDict(TENSORS),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]},
        "param_schedulers": [{"last_step": 3, "by_epoch": True, "base_values": [0.1]}],
        "message_hub": {
            "log_scalars": OrderedDict(loss=buffer),
            "runtime_info": OrderedDict(best_score=np.float64(0.5), seen=np.arange(3)),
            "resumed_keys": OrderedDict(loss=True),
        },
        "meta": {"iter": 3, "cfg": "a = 1", "dataset_meta": {"palette": [(1, 2, 3)]}},
    }
    torch.save(state, tmp_path / "x.pth")
    read = read_checkpoint(tmp_path / "x.pth")
    hub = read.pop("message_hub")
    got = hub["log_scalars"]["loss"]
    assert type(got) is HistoryBuffer and got.max_length == 5 and got.mean() == 1.5
    assert [values.tolist() for values in got.data] == [[1.0, 2.0], [1, 1]]
    assert hub["runtime_info"]["best_score"] == 0.5
    assert type(hub["runtime_info"]["best_score"]) is np.float64
    assert hub["runtime_info"]["seen"].tolist() == [0, 1, 2]
    del state["message_hub"]
    for part, value in read.items():
        assert repr(value) == repr(state[part])
    # And it can be saved again.
    torch.save({"buffer": got}, tmp_path / "y.pth")
    got = torch.load(tmp_path / "y.pth", weights_only=False)["buffer"]
    assert got.current() == 2.0


def test_a_buffer_registers_no_function(tmp_path: Path) -> None:
    buffer = HistoryBuffer([1.0], [1])
    buffer._statistics_methods = {"mean": torch.tensor}
    torch.save({"buffer": buffer, **TENSORS}, tmp_path / "x.pth")
    before = dict(HistoryBuffer._statistics_methods)
    with suppress(CheckpointError):
        read = read_checkpoint(tmp_path / "x.pth")
        assert read["buffer"].__dict__.keys() == {"max_length", "_log_history", "_count_history"}
    assert HistoryBuffer._statistics_methods == before


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1_000_000)}}, tmp_path / "x.pth")
    with (
        zipfile.ZipFile(tmp_path / "x.pth") as source,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for record in source.infolist():
            target.writestr(record.filename, source.read(record))
    with pytest.raises(CheckpointError, match=r"bomb.pth' has [\d,]+ bytes and unpacks to 4,0"):
        read_checkpoint(tmp_path / "bomb.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_larger_than_its_file_is_refused(zipped: bool, tmp_path: Path) -> None:
    weights = {"a": torch.zeros(1).expand(10**6, 10**6)}
    torch.save(weights, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"bytes and holds a tensor of 4,000,000,000,000: re"):
        read_checkpoint(tmp_path / "x.pth")


def test_a_container_of_itself_is_read(tmp_path: Path) -> None:
    content = {"state_dict": TENSORS}
    content["again"] = content
    torch.save(content, tmp_path / "x.pth")
    assert torch.equal(read_checkpoint(tmp_path / "x.pth")["state_dict"]["a"], TENSORS["a"])


def test_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": TENSORS, "x": Code(tmp_path / "trace")}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"x\.pth' holds more than tensors \(posix\.mkdir\)"):
        read_checkpoint(tmp_path / "x.pth")
    assert not (tmp_path / "trace").exists()
    torch.load(tmp_path / "x.pth", weights_only=False)
    assert (tmp_path / "trace").exists()


def test_code_is_refused_wherever_mmengine_reads_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the loader of the scheme, or the user, asks torch for what is unsafe."""
    torch.save({"state_dict": TENSORS, "x": Code(tmp_path / "trace")}, tmp_path / "bad.pth")
    torch.save({"state_dict": TENSORS}, tmp_path / "good.pth")
    monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)

    @CheckpointLoader.register_scheme("there://")
    def load_from_there(filename: str, map_location: str) -> dict:
        path = tmp_path / filename.removeprefix("there://")
        return torch.load(path, map_location=map_location, weights_only=False)

    assert torch.equal(read_checkpoint("there://good.pth")["state_dict"]["a"], TENSORS["a"])
    with pytest.raises(CheckpointError, match=r"there://bad.pth' holds more than tensors"):
        read_checkpoint("there://bad.pth")
    with pytest.raises(CheckpointError, match=r"'there://none.pth' does not exist"):
        read_checkpoint("there://none.pth")
    assert not (tmp_path / "trace").exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a checkpoint, or is cut short"),
        (b"<html>404 not found</html>", "is not a checkpoint, or is cut short"),
        (None, r"checkpoint '.*x\.pth' does not exist"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_an_error(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_an_error(zipped: bool, part: float, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    weights = {"a": torch.rand(1000)}
    torch.save({"state_dict": weights}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="is not a checkpoint, or is cut short"):
        read_checkpoint(path)


def test_a_folder_and_a_list_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read .*: Is a directory"):
        read_checkpoint(tmp_path)
    torch.save([1, 2], tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="it holds a list, not a dict"):
        read_checkpoint(tmp_path / "x.pth")


def test_safetensors(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    path = tmp_path / "x.safetensors"
    library.save_file(TENSORS, path, {"meta": json.dumps({"epoch": 3})})
    checkpoint = read_checkpoint(path)
    assert torch.equal(checkpoint["state_dict"]["a"], TENSORS["a"])
    assert checkpoint["meta"] == {"epoch": 3}
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="is not a checkpoint, or is cut short"):
        read_checkpoint(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        read_checkpoint(tmp_path / "y.safetensors")


def test_safetensors_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "x.safetensors").touch()
    with pytest.raises(CheckpointError, match="pip install safetensors"):
        read_checkpoint(tmp_path / "x.safetensors")


def state_dict(value: float, prefix: str = "") -> dict[str, torch.Tensor]:
    return {f"{prefix}a": torch.full((2,), value)}


@pytest.mark.parametrize(
    ("checkpoint", "default", "averaged", "raw"),
    [
        # Value 1 is the raw weight, 2 the average; None: there is none.
        (state_dict(1), 1, None, 1),
        ({"state_dict": state_dict(1), "meta": {}}, 1, None, 1),
        ({"model": state_dict(1), "model_ema": state_dict(2), "epoch": 3}, 1, 2, 1),
        ({"state_dict": state_dict(1), "state_dict_ema": state_dict(2)}, 1, 2, 1),
        ({"state_dict": state_dict(1, "module.")}, 1, None, 1),
        ({"state_dict_ema": state_dict(2)}, 2, 2, None),
        ({"ema_state_dict": {"steps": torch.tensor(5), **state_dict(2, "module.")}}, 2, 2, None),
    ],
)
def test_raw_and_averaged_weights_are_distinguished(checkpoint, default, averaged, raw) -> None:
    for ema, value in ((None, default), (True, averaged), (False, raw)):
        if value is None:
            with pytest.raises(CheckpointError, match=r"there are no (averaged )?weights"):
                weights_of(checkpoint, ema)
        else:
            weights, _ = weights_of(checkpoint, ema)
            assert {k: v.tolist() for k, v in weights.items()} == {"a": [value, value]}


def test_a_checkpoint_without_tensors_is_an_error() -> None:
    with pytest.raises(CheckpointError, match=r"there are no weights in it; it has meta, epoch$"):
        weights_of({"meta": {}, "epoch": 3})


def test_the_average_that_mmengine_saves_is_found(tmp_path: Path) -> None:
    """EMAHook exchanges the two as it saves."""
    from mmengine.hooks import EMAHook
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Line(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, inputs: torch.Tensor, mode: str) -> dict:
            return dict(loss=-self.weight.sum())

    hook = EMAHook(momentum=0.25)
    runner = Runner(
        Line(),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=[dict(inputs=torch.zeros(1))] * 4,
            batch_size=1,
            sampler=dict(type="DefaultSampler", shuffle=False),
            collate_fn=dict(type="default_collate"),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1.0)),
        custom_hooks=[hook],
        default_hooks=dict(logger=None),
        experiment_name="line",
    )
    runner.train()
    average = hook.ema_model.module.weight.item()
    checkpoint = read_checkpoint(tmp_path / "epoch_1.pth")
    assert 0 < average < 4
    assert weights_of(checkpoint)[0]["weight"].item() == average
    assert weights_of(checkpoint, ema=True)[0]["weight"].item() == average
    assert {k: v.item() for k, v in weights_of(checkpoint, ema=False)[0].items()} == {"weight": 4}
