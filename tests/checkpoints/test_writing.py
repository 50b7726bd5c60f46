"""Plain tensors, whole files, the same bytes."""

import json
import os
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsmlp.checkpoints import publishable, serialise, write_atomically
from mmsmlp.errors import CheckpointError

META = {
    "classes": ("a", "b"),
    "palette": np.array([[1, 2], [3, 4]]),
    "best": np.float32(0.5),
    "args": Namespace(lr=1),
    "nested": [1, Namespace(), {"x": None}],
}
PLAIN = {
    "classes": ("a", "b"),
    "palette": [[1, 2], [3, 4]],
    "best": 0.5,
    "nested": [1, {"x": None}],
}


def checkpoint() -> dict:
    table = torch.arange(1000.0)
    return publishable({"a": torch.nn.Parameter(table[:3])}, META)


def test_torch_reads_it_with_nothing_but_tensors_and_plain_values(tmp_path: Path) -> None:
    data = serialise(checkpoint(), ".pth")
    assert len(data) < 4000, "the view was written with all that it is a view of"
    (tmp_path / "x.pth").write_bytes(data)
    read = torch.load(tmp_path / "x.pth", weights_only=True)
    assert torch.equal(read["state_dict"]["a"], torch.arange(3.0))
    assert type(read["state_dict"]["a"]) is torch.Tensor
    assert read["meta"] == PLAIN


def test_the_same_weights_give_the_same_bytes() -> None:
    assert serialise(checkpoint(), ".pth") == serialise(checkpoint(), ".pth")


def test_safetensors(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors")
    (tmp_path / "x.safetensors").write_bytes(serialise(checkpoint(), ".safetensors"))
    with library.safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert torch.equal(file.get_tensor("a"), torch.arange(3.0))
        assert json.loads(file.metadata()["meta"]) == json.loads(json.dumps(PLAIN))


def test_another_suffix_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"ends in \.pth or \.safetensors, not '\.ckpt'"):
        serialise(checkpoint(), ".ckpt")


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"before")
    write_atomically(b"after", path)
    assert path.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["x.pth"]


def fill_the_disk(path: Path) -> None:
    """Let what is written on the way to a path meet the end of a disk."""
    path.with_name(f".{path.name}.{os.getpid()}.part").symlink_to("/dev/full")


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(b"before")
    fill_the_disk(path)
    with pytest.raises(CheckpointError, match=r"cannot write '.*x\.pth': No space left on device"):
        write_atomically(b"after", path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["x.pth"]


def test_an_interruption_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        assert len(os.listdir(tmp_path)) == 2
        raise KeyboardInterrupt

    path = tmp_path / "x.pth"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(b"after", path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["x.pth"]


def test_a_folder_without_write_permission_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot write .*: Not a directory"):
        write_atomically(b"", tmp_path / "file" / "x.pth")
