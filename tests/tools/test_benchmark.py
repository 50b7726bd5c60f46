"""The command line of the benchmark, and the multiply-adds that it counts."""

import json
import os
import platform
import sys
import textwrap
from pathlib import Path

import benchmark
import pytest
import torch
from benchmarks.cost import FullForm, multiply_adds

from mmsmlp.errors import UsageError
from mmsmlp.models.layers import SparseMLP

# In place of sMLPNet-T: a 1x1 convolution of 3 to 5 channels.
FAKE_BACKBONES = """
from mmdet.registry import MODELS
from torch import nn

@MODELS.register_module()
class Fake(nn.Conv2d):
    def __init__(self, drop_path_rate, with_cp):
        super().__init__(3, 5, 1)

BACKBONES = {"smlpnet_t": dict(type="Fake")}
"""


@pytest.mark.parametrize(
    ("size", "ours", "full"),
    [((224, 224), 5.01, 5.0), ((512, 512), 24, 27.0), ((800, 1344), 93, 118.1)],
)
def test_the_cost_stays_below_the_full_form(
    size: tuple[int, int], ours: float, full: float
) -> None:
    assert multiply_adds("sMLPNet-T", size) <= ours
    assert multiply_adds("sMLPNet-T in full form", size) == pytest.approx(full, abs=0.05)


def test_the_full_form_is_the_same_map() -> None:
    torch.manual_seed(0)
    smlp = SparseMLP(8, (6, 4)).eval()
    for size in [(6, 4), (15, 22), (3, 7), (2, 2)]:
        x = torch.randn(2, 8, *size)
        torch.testing.assert_close(smlp(x), FullForm(smlp)(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed", "vit"], "there is no network 'vit'; there are smlpnet_t, .*, swin_t"),
        (["speed", "swin_t", "swin_t"], "named once"),
        (["speed", "swin_t", "configs/upernet_smlpnet_t.py"], "cannot be measured in one run"),
        (["speed", "nothing.py"], "config 'nothing.py' does not exist"),
        (["speed", "--sizes", "224"], "--sizes: write 224x224, .*; got '224'"),
        (["speed", "--sizes", "0x32"], "got '0x32'"),
        (["speed", "--rounds", "0"], "--rounds must be at least 1, got 0"),
        (["speed", "--reference", "pvtv2_b2"], "'pvtv2_b2' is not measured; there are sMLPNet-T"),
        (["speed", "--mini"], "for configs of complete models"),
        (["speed", "--baseline", "tests"], "no mmsmlp in tests"),
        (["speed", "--out", "nowhere/x.json"], "nowhere/x.json cannot be written"),
        (["speed", "--out", "pyproject.toml"], "pyproject.toml is not a file of this tool"),
        (["charts", "nowhere.json"], "nowhere.json cannot be read: No such file"),
        (["speed", "configs/upernet_smlpnet_t.py", "--batch", "2"], "--batch are for networks"),
        (["speed", "configs/upernet_smlpnet_t.py", "--compile"], "--exported are for networks"),
        (["speed", "swin_t", "--exported", "openvino", "--mode", "training"], "for inference on"),
    ],
)
def test_an_impossible_request_is_an_error_of_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(UsageError, match=message):
        benchmark.main(arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU")
def test_a_missing_gpu_is_an_error_of_one_line() -> None:
    with pytest.raises(UsageError, match="torch sees no CUDA device"):
        benchmark.main(["speed", "--device", "cuda"])


@pytest.mark.long
def test_a_network_is_measured_beside_itself_in_another_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    checkout = tmp_path / "before"
    (checkout / "mmsmlp/swap").mkdir(parents=True)
    for name in ("", "backbones", "swap/", "swap/backbones"):
        text = FAKE_BACKBONES if name == "swap/backbones" else ""
        path = f"{name}.py" if name and not name.endswith("/") else f"{name}__init__.py"
        (checkout / "mmsmlp" / path).write_text(textwrap.dedent(text))
    out = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["benchmark.py"])
    options = ["--sizes", "32x32@2", "--mode", "training", "--rounds", "2", "--threads", "1"]
    benchmark.main(["speed", "smlpnet_t", *options, "--baseline", str(checkout), "--out", str(out)])
    (run,) = json.loads(out.read_text())["runs"]
    (case,) = run["cases"]
    ours, before = case["results"]
    assert [ours["subject"], before["subject"]] == ["sMLPNet-T", "sMLPNet-T before"]
    assert before["multiply_adds"] == 3 * 2 * 32 * 32 * 3 * 5 < ours["multiply_adds"]
    assert len(ours["seconds"]) == len(before["seconds"]) == 2
    assert run["settings"]["reference"] == "sMLPNet-T before"
    assert before["peak_memory"] < ours["peak_memory"]
    shown = capsys.readouterr().out
    assert "sMLPNet-T before" in " ".join(shown.split())
    for private in (str(tmp_path), str(Path.home()), os.getcwd(), platform.node()):
        assert private not in out.read_text()
