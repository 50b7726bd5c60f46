"""The arithmetic of GPU-hours, and that the document shows what it gives."""

import re
from pathlib import Path

import pytest
import training_cost

DOCUMENT = Path(__file__).parents[2] / "docs" / "many_machines.md"


def test_operations_are_those_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mmdet")
    asked = []
    monkeypatch.setattr(
        training_cost, "model_cost", lambda *given: asked.append(given) or (40.0, 250.0)
    )
    for name, epochs in [("mask_rcnn_smlpnet_t.py", 12), ("mask_rcnn_s2mlpv2_s4_3x.py", 36)]:
        # Two operations, forward and twice as much backward, of images by epochs.
        expected = 2 * 3 * 250e9 * 117_266 * epochs
        assert training_cost.operations(f"mmsmlp::{name}") == (250.0, pytest.approx(expected))
        # 512 regions, of which a quarter has masks.
        assert asked.pop() == (f"mmsmlp::{name}", (800, 1333), (512, 128))


def test_the_document_shows_hours_of_its_multiply_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mmdet")
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    forward = iter(float(re.fullmatch(r"(\d+)G", row[2])[1]) for row in shown[2:])
    monkeypatch.setattr(training_cost, "model_cost", lambda *_: (0.0, next(forward)))
    rows = list(training_cost.rows([0.1, 0.3]))
    assert shown[0] == rows[0]
    for row, expected in zip(shown[2:], rows[1:], strict=True):
        assert row[:3] == expected[:3]
        # The rounding of the multiply-adds may show in the last digit.
        for cell, value in zip(row[4:], expected[4:], strict=True):
            assert float(cell) == pytest.approx(float(value), abs=1)
