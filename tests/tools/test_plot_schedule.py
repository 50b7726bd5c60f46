"""The tool around the schedule: what it prints, and what it asks for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmsmlp.errors import UsageError
from tests.helpers import ROOT, tool


@pytest.fixture
def plot() -> Callable[..., None]:
    return tool("plot_schedule")


def test_figures_are_printed_and_the_curve_is_drawn(
    plot: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("mmpretrain")
    out = tmp_path / "new" / "schedule.png"
    config = ROOT / "configs" / "s2mlpv2_s7_in1k.py"
    options = ["optim_wrapper.accumulative_counts=1", "train_cfg.max_epochs=20"]
    plot(config, "--out", out, "--images", 102_400, "--gpus", 8, "--cfg-options", *options)
    assert out.is_file()
    printed = capsys.readouterr().out
    rows = {
        cells[0]: cells[1:]
        for line in printed.splitlines()
        if len(cells := line.replace("│", " ").split()) == 4
    }
    # 102,400 images in batches of 8 × 128 are 100 iterations.
    assert rows["first"] == ["0", "0.00", "2e-06"]
    assert rows["peak"] == ["999", "9.99", "0.002"]
    assert rows["last"][:2] == ["1,999", "19.99"]
    assert "batch 1024; the optimizer steps every 1 iterations" in printed


def test_an_unknown_data_set_needs_its_size(plot: Callable, tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(
        "default_scope = 'mmengine'\n"
        "train_cfg = dict(by_epoch=True, max_epochs=3)\n"
        "train_dataloader = dict(batch_size=2, dataset=dict(type='Birds'))\n"
    )
    with pytest.raises(UsageError, match=r"how long an epoch of Birds is .* give --images"):
        plot(config)
