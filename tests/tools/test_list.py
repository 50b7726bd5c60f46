"""The tool that lists what there is."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from mmsmlp.errors import UsageError
from mmsmlp.weights import WEIGHTS
from tests.helpers import ROOT, tool


@pytest.fixture
def listed(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        tool("list")(*arguments)
        return capsys.readouterr().out

    return run


def table_of_networks() -> dict[str, list[str]]:
    """Rows of the README's table, by the name of the variant."""
    rows = [line.split("|")[1:-1] for line in (ROOT / "README.md").read_text().splitlines()]
    rows = [[cell.strip(" `") for cell in row] for row in rows if len(row) == 8]
    return {row[1]: row[2:6] for row in rows[2:]}


def rounded_as(value: float, text: str) -> str:
    number = text[:-1]
    return f"{value:.{len(number.partition('.')[2])}f}{text[-1]}"


def test_everything_as_json_agrees_with_the_readme(listed: Callable) -> None:
    contents = json.loads(listed("--json"))
    expected = table_of_networks()
    assert {backbone["arch"] for backbone in contents["backbones"]} == set(expected)
    for backbone in contents["backbones"]:
        channels, strides, parameters, flops = expected[backbone["arch"]]
        assert ", ".join(map(str, backbone["channels"])) == channels
        assert ", ".join(map(str, backbone["strides"])) == strides
        assert rounded_as(backbone["parameters_m"], parameters) == parameters
        assert rounded_as(backbone["multiply_adds_g"], flops) == flops
    weights = {b["name"]: b["weights"]["file"] for b in contents["backbones"] if b["weights"]}
    expected = {f"cyclemlp_b{i}": f"CycleMLP_B{i}.pth" for i in range(1, 6)}
    assert weights == expected | dict(smlpnet_s="smlp_s.pth", smlpnet_b="smlp_b.pth")
    names = [config["name"] for config in contents["configs"]]
    files = sorted(path.name for path in (ROOT / "configs").glob("*.py"))
    assert names == [f"mmsmlp::{file}" for file in files]
    assert {key for config in contents["configs"] for key in config} == {
        *("name", "task", "backbone", "method", "schedule")
    }


def test_piped_output_is_complete_and_plain(
    listed: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = listed("smlpnet_s")
    assert "\x1b" not in text and "…" not in text
    (row,) = re.findall(r".*mmsmlp::cascade_mask_rcnn_smlpnet_s_3x\.py.*", text)
    assert "Cascade Mask R-CNN" in row and "36 epochs, batch 16, several scales" in row
    (row,) = re.findall(r".*mmsmlp\.SMLPNet.*", text)
    for cell in ("96, 192, 384, 768", "4, 8, 16, 32", "48.6M", "10.3G", "smlpnet_s_in1k"):
        assert cell in row
    assert "smlpnet_t" not in text


def test_weights_are_listed_by_name(listed: Callable) -> None:
    text = listed("cyclemlp_b2", "--weights")
    (row,) = re.findall(r".*cyclemlp_b2_in1k.*", text)
    for cell in ("81.6", "MIT", "releases/download/v0.1/CycleMLP_B2.pth"):
        assert cell in row
    contents = json.loads(listed("--weights", "--json"))
    assert [weights["name"] for weights in contents["weights"]] == list(WEIGHTS)


def test_a_task_leaves_its_configs(listed: Callable) -> None:
    contents: dict[str, Any] = json.loads(listed("s2mlpv2_s4", "--task", "segmentation", "--json"))
    assert [config["name"] for config in contents["configs"]] == [
        "mmsmlp::mask2former_ade20k_s2mlpv2_s4.py",
        "mmsmlp::semantic_fpn_s2mlpv2_s4.py",
        "mmsmlp::upernet_s2mlpv2_s4.py",
    ]
    assert [backbone["name"] for backbone in contents["backbones"]] == ["s2mlpv2_s4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["s3mlp"],
            r"there is no 's3mlp'; there are smlpnet, cyclemlp, s2mlpv2, .*s2mlp_deep.*upernet",
        ),
        (["s2mlp", "--weights"], r"there are no weights 's2mlp'; there are smlpnet_s_in1k, .*b5"),
        (
            ["s2mlp_deep", "--task", "detection"],
            r"there is no 's2mlp_deep' for detection; there are smlpnet, .*retinanet",
        ),
    ],
)
def test_missing_files_are_an_error_of_one_line(
    listed: Callable, arguments: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        listed(*arguments)
    assert "\n" not in str(error.value)
