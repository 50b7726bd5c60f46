"""From the authors' file, or a training run of ours, to a checkpoint for OpenMMLab's tools."""

import argparse
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import mmsmlp
from mmsmlp.checkpoints import SPACH
from mmsmlp.checkpoints.publishing import Classifier
from mmsmlp.models.backbones import SMLPNet

ROOT = Path(__file__).parents[2]
SPACH_KEYS = ("model", "optimizer", "lr_scheduler", "epoch", "model_ema", "args")


@pytest.fixture
def convert(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """The tool; gives what it prints."""

    def convert(*arguments: object) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["convert_checkpoint.py", *map(str, arguments)])
            runpy.run_path(str(ROOT / "tools" / "convert_checkpoint.py"), run_name="__main__")
        return capsys.readouterr().out

    return convert


@pytest.fixture
def source(spach_weights: dict, tmp_path: Path) -> Path:
    """The authors' file, as their training script saves it."""
    averaged = {name: value + 1 for name, value in spach_weights.items()}
    path = tmp_path / "smlp_x.pth"
    values = (spach_weights, {"state": {}}, {"lr": 1e-3}, 299, averaged, argparse.Namespace(lr=1))
    torch.save(dict(zip(SPACH_KEYS, values, strict=True)), path)
    return path


def fails(convert: Callable, *arguments: object) -> str:
    """The one line in which the tool fails."""
    with pytest.raises(SystemExit) as stop:
        convert(*arguments)
    message = stop.value.code
    assert isinstance(message, str) and message.startswith("error: ") and "\n" not in message
    return message


def weights_in(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_the_converted_file_gives_the_authors_logits_through_mmpretrain(
    convert: Callable, source: Path, spach_golden: dict, tmp_path: Path
) -> None:
    """The way of tools/test.py: a config, and a Runner that loads the checkpoint."""
    pytest.importorskip("mmpretrain")
    from mmsmlp.engine.runner import base_parser, build_runner, load_config

    convert(source, tmp_path / "ours.pth")
    config = tmp_path / "classifier.py"
    config.write_text("""
default_scope = "mmpretrain"
model = dict(
    type="ImageClassifier",
    backbone=dict(type="mmsmlp.SMLPNet", img_size=64, out_indices=3,
                  arch=dict(embed_dims=(8, 16, 32, 64), depths=(1, 2, 2, 1), mlp_ratio=3)),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="LinearClsHead", in_channels=64, num_classes=10))
""")
    cfg = load_config(base_parser("").parse_args([str(config), "--work-dir", str(tmp_path)]))
    cfg.load_from = str(tmp_path / "ours.pth")
    cfg.custom_hooks = []
    runner = build_runner(cfg)
    before = runner.model.state_dict()
    assert before.keys() == weights_in(tmp_path / "ours.pth").keys()
    runner.load_or_resume()
    with torch.inference_mode():
        logits = runner.model.eval()(spach_golden["input"], mode="tensor")
    torch.testing.assert_close(logits, spach_golden["logits"], atol=1e-4, rtol=0)


def test_the_report_accounts_for_every_tensor(
    convert: Callable, source: Path, spach_reference: Path, tmp_path: Path
) -> None:
    printed = convert(source, tmp_path / "ours.pth", "--verify", spach_reference)
    rows = dict(re.findall(r"│ (\w[\w ]*?) +│ (.*?) +│", printed))
    assert rows == dict(
        converted="143", renamed="143", missing="none", dropped="optimizer", **{"left over": "none"}
    )
    for key in SPACH_KEYS[1:]:
        assert key in printed
    assert "(model)" in printed and "smlpnet-custom_3rdparty" in printed
    difference = float(re.search(r"the logits differ by (\S+) at most", printed)[1])
    assert 0 < difference < 1e-5
    assert f"written: {tmp_path / 'ours.pth'}" in printed
    assert torch.load(tmp_path / "ours.pth", weights_only=True)["meta"] == dict(
        backbone=dict(
            type="mmsmlp.SMLPNet",
            arch=dict(embed_dims=(8, 16, 32, 64), depths=(1, 2, 2, 1), mlp_ratio=3.0),
            img_size=64,
            in_channels=3,
            out_indices=-1,
        ),
        mmsmlp_version=mmsmlp.__version__,
    )


@pytest.mark.parametrize("variant", sorted(SMLPNet.variants))
def test_the_variant_is_recognised(variant: str) -> None:
    with torch.device("meta"):
        weights = Classifier(
            dict(type="mmsmlp.SMLPNet", arch=variant, img_size=(192, 256)), 1000
        ).state_dict()
    expected = dict(arch=variant, img_size=(192, 256), in_channels=3)
    assert SPACH.settings(weights) == expected
    for name in list(weights):
        if "fuse" in name or "norm1" in name or "blocks.1.smlp" in name:
            weights[name] = torch.empty(3, 3, device="meta")
    assert SPACH.settings(weights) == expected


def test_a_folder_gets_a_file_of_openmmlabs_name(
    convert: Callable, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "v1.0").mkdir()
    convert(source, tmp_path / "v1.0")
    (path,) = (tmp_path / "v1.0").iterdir()
    name, sha = re.fullmatch(r"(.+)_\d{8}-([0-9a-f]{8})\.pth", path.name).groups()
    assert name == "smlpnet-custom_3rdparty"
    assert sha256(path.read_bytes()).hexdigest().startswith(sha)
    assert "exists; --force replaces it" in fails(convert, source, tmp_path / "v1.0")
    convert(source, tmp_path / "v1.0", "--force", "--backbone-only")
    assert len(list((tmp_path / "v1.0").glob("smlpnet-custom_3rdparty_headless_*.pth"))) == 1


def test_the_average_is_used_on_request(
    convert: Callable, source: Path, spach_weights: dict, tmp_path: Path
) -> None:
    convert(source, tmp_path / "raw.pth")
    convert(source, tmp_path / "ema.pth", "--ema")
    name = "head.fc.bias"
    assert torch.equal(weights_in(tmp_path / "raw.pth")[name], spach_weights["mlp_head.0.bias"])
    averaged = weights_in(tmp_path / "ema.pth")[name]
    assert torch.equal(averaged, spach_weights["mlp_head.0.bias"] + 1)
    torch.save({"model": spach_weights}, source)
    assert "there are no averaged weights (EMA) in it; it has model" in fails(
        convert, source, tmp_path / "x.pth", "--ema"
    )


def change(weights: dict[str, Tensor], what: str) -> dict[str, Tensor]:
    name = "token_mix.4.1.fuse.weight"
    if what == "missing":
        del weights[name]
    elif what == "left over":
        weights["token_mix.4.1.gate.weight"] = torch.zeros(3)
    elif what == "wrong shape":
        weights[name] = weights[name][:, :-1]
    elif what == "wrong axis":
        name = "token_mix.4.1.proj_h.weight"
        weights[name] = torch.zeros(5, 5, 1, 1)
    return weights


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", r": 1 missing: token_mix\.4\.1\.fuse\.weight; --lenient converts without$"),
        ("left over", r": 1 left over: token_mix\.4\.1\.gate\.weight; --lenient converts without$"),
        (
            "wrong shape",
            r": 1 of a wrong shape: token_mix\.4\.1\.fuse\.weight is \(32, 95, 1, 1\), not "
            r"\(32, 96, 1, 1\)$",
        ),
        (
            "wrong axis",
            r": 1 of a wrong shape: token_mix\.4\.1\.proj_h\.weight is \(5, 5\), not \(4, 4\)$",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(
    what: str, message: str, convert: Callable, spach_weights: dict, tmp_path: Path
) -> None:
    torch.save({"model": change(spach_weights, what)}, tmp_path / "x.pth")
    assert re.search(message, fails(convert, tmp_path / "x.pth", tmp_path / "ours.pth"))
    assert os.listdir(tmp_path) == ["x.pth"]
    if "wrong" not in what:
        convert(tmp_path / "x.pth", tmp_path / "ours.pth", "--lenient")
        written = weights_in(tmp_path / "ours.pth")
        assert len(written) == (142 if what == "missing" else 143)
        assert "backbone.stages.2.blocks.1.smlp.row.weight" in written


class Code:
    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.trace,)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("gone", r"error: checkpoint '.*smlp_x\.pth' does not exist$"),
        ("truncated", r"error: '.*smlp_x\.pth' is not a checkpoint, or is cut short$"),
        ("picture", r"error: '.*smlp_x\.pth' is not a checkpoint, or is cut short$"),
        ("code", r"error: '.*smlp_x\.pth' holds more than tensors \(posix\.mkdir\): refused"),
        ("another", r"smlp_x\.pth': it is neither of microsoft/SPACH nor .* has weight,"),
        ("sparse", r"smlp_x\.pth' holds a tensor of layout torch\.sparse_coo: only dense ones"),
        ("meta", r"smlp_x\.pth' holds a tensor of no values: only dense ones are read$"),
        (
            "scalar",
            r"1 of a wrong shape: to_patch_embedding\.0\.0\.weight is \(\), not \(8, 3, 4, 4\)",
        ),
        ("nothing", r"smlp_x\.pth': there are no weights in it; it has epoch$"),
    ],
)
def test_files_that_cannot_be_converted_are_named(
    what: str, message: str, convert: Callable, source: Path, spach_weights: dict, tmp_path: Path
) -> None:
    stem = spach_weights["to_patch_embedding.0.0.weight"]
    stems = dict(sparse=stem.to_sparse(), meta=stem.to("meta"), scalar=stem.sum())
    if what in stems:
        torch.save({**spach_weights, "to_patch_embedding.0.0.weight": stems[what]}, source)
    elif what == "gone":
        source.unlink()
    elif what == "truncated":
        source.write_bytes(source.read_bytes()[:-1000])
    elif what == "picture":
        source.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    elif what == "code":
        torch.save({"model": {}, "x": Code(str(tmp_path / "trace"))}, source)
    elif what == "another":
        torch.save(torch.nn.Linear(2, 2).state_dict(), source)
    elif what == "nothing":
        torch.save({"epoch": 3}, source)
    before = os.listdir(tmp_path)
    assert re.search(message, fails(convert, source, tmp_path / "ours.pth"))
    assert os.listdir(tmp_path) == before


def test_tensors_without_a_name_are_left_out(
    convert: Callable, spach_weights: dict, tmp_path: Path
) -> None:
    torch.save({"model": {**spach_weights, 3: torch.zeros(2)}}, tmp_path / "x.pth")
    convert(tmp_path / "x.pth", tmp_path / "ours.pth")
    assert len(weights_in(tmp_path / "ours.pth")) == len(spach_weights)


def test_a_full_disk_leaves_nothing(convert: Callable, source: Path, tmp_path: Path) -> None:
    (tmp_path / f".ours.pth.{os.getpid()}.part").symlink_to("/dev/full")
    message = fails(convert, source, tmp_path / "ours.pth")
    assert re.search(r"error: cannot write '.*ours\.pth': No space left on device$", message)
    assert os.listdir(tmp_path) == ["smlp_x.pth"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("there.pth", r"target '.*there\.pth' exists; --force replaces it$"),
        ("nowhere/ours.pth", r"there is no folder '.*nowhere' to write ours\.pth in$"),
        ("ours.ckpt", r"target '.*ours\.ckpt' must end in \.pth or \.safetensors, or be a folder"),
    ],
)
def test_targets_that_cannot_be_are_named(
    target: str, message: str, convert: Callable, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.pth").write_bytes(b"before")
    assert re.search(message, fails(convert, source, tmp_path / target))
    assert (tmp_path / "there.pth").read_bytes() == b"before"
    convert(source, tmp_path / "there.pth", "--force")
    assert len(weights_in(tmp_path / "there.pth")) == 143


def test_a_device_is_never_replaced(convert: Callable, source: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    assert "exists" in fails(convert, source, tmp_path / "pipe.pth", "--force")
    assert (tmp_path / "pipe.pth").is_fifo()


def test_other_logits_stop_the_conversion(
    convert: Callable, source: Path, spach_golden: dict, tmp_path: Path
) -> None:
    def against(name: str, **arrays: np.ndarray) -> str:
        np.savez(tmp_path / name, **arrays)
        return fails(convert, source, tmp_path / "ours.pth", "--verify", tmp_path / name)

    x, logits = spach_golden["input"].numpy(), spach_golden["logits"].numpy()
    other = logits.copy()
    other[1, 3] += 2e-3
    assert re.search(r"by up to 0\.002, more than 0\.0001", against("a.npz", input=x, logits=other))
    assert "are (2, 9), the network's (2, 10)" in against("b.npz", input=x, logits=logits[:, :9])
    assert "b.npy' has no arrays 'input' and 'logits'" in fails(
        convert, source, tmp_path / "ours.pth", "--verify", tmp_path / "b.npy"
    )
    assert "has no arrays 'input' and 'logits'" in against("c.npz", input=x)
    assert not (tmp_path / "ours.pth").exists()


def test_logits_need_a_head(
    convert: Callable, spach_weights: dict, spach_reference: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.pth"
    torch.save({k: v for k, v in spach_weights.items() if "mlp_head" not in k}, path)
    assert "2 missing: mlp_head.0.weight, mlp_head.0.bias" in fails(convert, path, tmp_path)
    options = ["--backbone-only", "--verify", spach_reference]
    assert "a complete classifier; it lacks head.fc.weight, head.fc.bias" in fails(
        convert, path, tmp_path / "ours.pth", *options
    )
    convert(path, tmp_path / "ours.pth", "--backbone-only")
    assert len(weights_in(tmp_path / "ours.pth")) == 141


@pytest.fixture
def run(spach_network: dict, spach_weights: dict, tmp_path: Path) -> Path:
    """A training checkpoint of ours with the authors' weights, averaged and not."""
    network = Classifier(dict(spach_network, type="mmsmlp.SMLPNet"), 10)
    weights = {name: torch.rand_like(v.float()) for name, v in network.state_dict().items()}
    raw = {f"module.{name}": value + 1 for name, value in weights.items()}
    path = tmp_path / "epoch_3.pth"
    torch.save(
        dict(
            state_dict=weights,
            ema_state_dict=dict(raw, steps=torch.tensor(3)),
            optimizer=dict(state={}),
            message_hub={},
            meta=dict(
                experiment_name="smlpnet_x_cifar10_20240131_235959",
                epoch=3,
                dataset_meta=dict(classes=("a", "b")),
                hook=argparse.Namespace(),
            ),
        ),
        path,
    )
    return path


@pytest.mark.parametrize(("flag", "added"), [(None, 0), ("--ema", 0), ("--no-ema", 1)])
def test_our_run_is_published(
    flag: str | None, added: int, convert: Callable, run: Path, tmp_path: Path
) -> None:
    trained = torch.load(run, weights_only=False)["state_dict"]
    options = [flag] if flag else []
    printed = convert(run, tmp_path / "whole.pth", *options)
    assert "dropped" in printed and "optimizer" in printed and "meta" not in printed
    convert(run, tmp_path / "backbone.pth", "--backbone-only", *options)
    whole = torch.load(tmp_path / "whole.pth", weights_only=True)
    assert whole.keys() == {"state_dict", "meta"}
    assert whole["state_dict"].keys() == trained.keys()
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, trained[name] + added)
    assert whole["meta"]["epoch"] == 3 and "hook" not in whole["meta"]
    assert whole["meta"]["dataset_meta"] == dict(classes=("a", "b"))
    backbone = weights_in(tmp_path / "backbone.pth")
    assert backbone.keys() == {name for name in trained if name.startswith("backbone.")}


def test_our_run_is_named_after_its_config(convert: Callable, run: Path, tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    convert(run, tmp_path / "zoo")
    (path,) = (tmp_path / "zoo").iterdir()
    assert re.fullmatch(r"smlpnet_x_cifar10_\d{8}-[0-9a-f]{8}\.pth", path.name)


def test_converted_weights_can_be_verified_again(
    convert: Callable, source: Path, spach_reference: Path, tmp_path: Path
) -> None:
    convert(source, tmp_path / "once.pth")
    printed = convert(tmp_path / "once.pth", tmp_path / "twice.pth", "--verify", spach_reference)
    assert "verified" in printed and re.search(r"renamed +│ 0 ", printed)


def test_safetensors_come_and_go(
    convert: Callable, source: Path, spach_reference: Path, tmp_path: Path
) -> None:
    library = pytest.importorskip("safetensors")
    convert(source, tmp_path / "x.safetensors")
    convert(source, tmp_path / "x.pth")
    convert(tmp_path / "x.safetensors", tmp_path / "y.pth", "--verify", spach_reference)
    first, second = (torch.load(tmp_path / name, weights_only=True) for name in ("x.pth", "y.pth"))
    assert all(torch.equal(first["state_dict"][k], v) for k, v in second["state_dict"].items())
    assert json.loads(json.dumps(first["meta"])) == second["meta"]
    with library.safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(first["state_dict"])


def test_safetensors_without_the_library(
    convert: Callable, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert "pip install safetensors" in fails(convert, source, tmp_path / "x.safetensors")
    assert os.listdir(tmp_path) == ["smlp_x.pth"]


def test_from_the_command_line(source: Path, tmp_path: Path) -> None:
    """A failure is one line on stderr and an exit code of 1; nothing else is left."""
    source.write_bytes(source.read_bytes()[:1000])
    result = subprocess.run(
        [sys.executable, "tools/convert_checkpoint.py", source, tmp_path / "ours.pth"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
    )
    assert result.returncode == 1
    assert result.stderr == f"error: {str(source)!r} is not a checkpoint, or is cut short\n"
    assert os.listdir(tmp_path) == ["smlp_x.pth"]
