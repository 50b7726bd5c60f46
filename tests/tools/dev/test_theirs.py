"""The libraries' own tests with backbones of ours."""

from pathlib import Path

import pytest
import theirs

PASSING = """
from mmengine.config import ConfigDict
from mmpretrain.registry import MODELS

HEAD = dict(type="LinearClsHead", num_classes=3, in_channels=512)


def test_swapped():
    cfg = dict(type="ImageClassifier", backbone=dict(type="ResNet", depth=18), head=HEAD)
    model = MODELS.build(ConfigDict(cfg))
    assert type(model.backbone).__name__ == "SMLPNet" and list(model.backbone.channels) == [512]


def test_refused():
    backbone = dict(type="VisionTransformer", arch="deit-tiny", img_size=32, patch_size=16)
    MODELS.build(dict(type="ImageClassifier", backbone=backbone))


def test_alone():
    assert MODELS.build(HEAD).num_classes == 3
"""
TESTS = [
    dict(test="a", outcome="passed", swaps=2, reason=""),
    dict(test="b", outcome="failed", swaps=1, reason="ValueError: no\nmap"),
    dict(test="c", outcome="skipped", swaps=0, reason="Skipped: refused: its backbone has 5"),
    dict(test="d", outcome="passed", swaps=0, reason=""),
    dict(test="e", outcome="failed", swaps=1, reason="RuntimeError: x is not installed"),
    dict(
        test="f",
        outcome="failed",
        swaps=1,
        reason="A() is not an instance of <class 'mmpretrain.models.backbones.resnet.ResNet'>",
    ),
]


def test_a_row_counts_tests_with_our_backbone() -> None:
    pytest.importorskip("mmpretrain")
    assert theirs.row("mmpretrain", "smlpnet", TESTS)[1:] == [
        *("smlpnet", "4", "1", "1", "2", "0", "1", "1")
    ]


def test_reasons_are_counted_on_a_line_each() -> None:
    assert theirs.reasons({("mmdet", "a"): TESTS, ("mmdet", "b"): TESTS}) == [
        ["mmdet", "failed", "ValueError: no map", "2"],
        ["mmdet", "lacking", TESTS[-1]["reason"], "2"],
        ["mmdet", "lacking", "RuntimeError: x is not installed", "2"],
        ["mmdet", "refused", "its backbone has 5", "2"],
    ]


@pytest.mark.long
def test_models_of_a_checkout_are_swapped(tmp_path: Path) -> None:
    pytest.importorskip("mmpretrain")
    file = tmp_path / theirs.TESTS["mmpretrain"][0]
    file.parent.mkdir(parents=True)
    file.write_text(PASSING)
    found = theirs.run_tests("mmpretrain", tmp_path, "smlpnet", [])
    outcomes = {test["test"].partition("::")[2]: (test["outcome"], test["swaps"]) for test in found}
    assert outcomes == {
        "test_swapped": ("passed", 1),
        "test_refused": ("skipped", 0),
        "test_alone": ("passed", 0),
    }
