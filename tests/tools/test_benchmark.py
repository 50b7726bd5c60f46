"""Multiply-adds of sMLPNet-T beside its full form and other networks."""

import sys
from pathlib import Path

import pytest
import torch

from mmsmlp.layers import SparseMLP

sys.path.append(str(Path(__file__).parents[2] / "tools"))
from benchmark import DOCS, FullForm, cost_table, multiply_adds


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


def test_the_table_in_the_docs_is_what_the_counter_says() -> None:
    assert cost_table() in DOCS.read_text()
