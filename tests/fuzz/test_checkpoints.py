"""Altered and damaged checkpoints through the converter: a whole file, or a line of why not."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st
from torch import Tensor

from mmsmlp.checkpoints.publishing import Classifier
from tests.helpers import SPACH_NETWORK

from tests.fuzz.odd import LENGTHS, cases, outcome  # isort: skip

RENAMED = (
    lambda name: f"module.{name}",
    lambda name: name[:-3],
    lambda name: name.replace("0", "9"),
    lambda name: name.replace(".", ""),
    lambda name: "",
    lambda name: 3,
)
CHANGED = (
    *(lambda x, t=t: x.to(t) for t in (torch.float16, torch.float64, torch.bfloat16)),
    *(lambda x, t=t: x.to(t) for t in (torch.int64, torch.bool, torch.complex64)),
    lambda x: x * torch.nan,
    lambda x: x[None],
    lambda x: x.flatten()[:1],
    lambda x: x.flatten()[:0],
    lambda x: x.flatten()[0],
    lambda x: x.expand(2, *x.shape).mT if x.ndim else x,
    lambda x: x.to_sparse(),
    lambda x: x.to("meta"),
    lambda x: torch.nn.Parameter(x.float()),
    *(lambda x, value=value: value for value in (None, 3, "x", [1.0], {"weight": 0})),
)
CHANGES = st.lists(
    st.tuples(st.integers(0, 150), st.none() | st.sampled_from(RENAMED) | st.sampled_from(CHANGED)),
    max_size=3,
)
KEYS = ("model", "state_dict", "module", "model_ema", "state_dict_ema", "ema_state_dict", "meta")
METAS = (None, 3, [], {}, dict(experiment_name=3, epoch=None), dict(experiment_name="a/b", x={1}))
FLAGS = ("--ema", "--no-ema", "--lenient", "--backbone-only", "--force", "--verify")


def altered(weights: Mapping[str, Tensor], changes: list) -> dict[Any, Any]:
    """Weights of which some are gone, have another name, or are something else."""
    items = list(weights.items())
    for place, change in changes:
        name, value = items.pop(place % len(items))
        if change in RENAMED:
            name = change(name)
        elif change and isinstance(value, Tensor):
            value = change(value)
        if change:
            items.append((name, value))
    return dict(items)


def damaged(data: bytes, length: float, changes: list[tuple[float, int]]) -> bytes:
    """A file that was cut short and in which some bytes are others, by place from 0 to 1."""
    data = bytearray(data[: round(length * len(data))])
    for place, byte in changes:
        if data:
            data[min(round(place * len(data)), len(data) - 1)] = byte
    return bytes(data)


@pytest.fixture(scope="module")
def weights_of(spach_golden: dict[str, Tensor]) -> Callable[[str], dict[str, Tensor]]:
    """Weights that the converter takes."""
    theirs = {key[2:]: value for key, value in spach_golden.items() if key.startswith("w.")}
    return dict(
        theirs=theirs, ours=Classifier(dict(SPACH_NETWORK, type="mmsmlp.SMLPNet"), 10).state_dict()
    ).__getitem__


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("convert")


# Names and shapes are at the beginning of a file and at its end; numbers are in between.
PLACES = st.floats(0, 0.03) | st.floats(0.9, 1) | st.floats(0, 1)


@given(
    whose=st.sampled_from(("theirs", "ours")),
    changes=CHANGES,
    keys=st.lists(st.sampled_from(KEYS), unique=True, max_size=3),
    meta=st.sampled_from(METAS),
    zipped=st.booleans(),
    length=LENGTHS,
    bytes_=st.just([]) | st.lists(st.tuples(PLACES, st.integers(0, 255))),
    target=st.sampled_from(("out.pth", "out.safetensors", ".")),
    flags=st.lists(st.sampled_from(FLAGS), unique=True, max_size=3),
)
@cases(0.4)
def test_the_converter_writes_a_complete_file_or_an_error(
    weights_of: Callable,
    spach_reference: Path,
    folder: Path,
    whose: str,
    changes: list,
    keys: list[str],
    meta: Any,
    zipped: bool,
    length: float,
    bytes_: list,
    target: str,
    flags: list[str],
) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    checkpoint = altered(weights_of(whose), changes)
    if keys:
        checkpoint = {key: meta if key == "meta" else checkpoint for key in keys}
    source = folder / "source.pth"
    torch.save(checkpoint, source, _use_new_zipfile_serialization=zipped)
    source.write_bytes(damaged(source.read_bytes(), length, bytes_))
    if "--force" in flags:
        (folder / "out.pth").write_bytes(b"before")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    values = {"--verify": [spach_reference]}

    options = [word for flag in flags for word in (flag, *values.get(flag, ()))]
    error = outcome("convert_checkpoint", source, folder / target, *options)
    after = {path: path.read_bytes() for path in folder.iterdir()}
    event(error.replace(str(folder), "")[:50] if error else "converted")
    if error:
        assert after == before
        return
    (written,) = [path for path in after if after[path] != before.get(path)]
    if written.suffix == ".pth":
        published = torch.load(written, weights_only=True)
        assert all(isinstance(value, Tensor) for value in published["state_dict"].values())
