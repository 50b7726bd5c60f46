"""The loss curve shows what the message hub holds."""

from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from mmengine.logging import MessageHub

from mmsmlp.engine.hooks import LossCurveHook


@pytest.fixture
def runner(tmp_path: Path) -> SimpleNamespace:
    hub = MessageHub(f"loss_curve_{tmp_path}")
    return SimpleNamespace(message_hub=hub, work_dir=str(tmp_path), experiment_name="a run")


def drawn_lines(hook: LossCurveHook, runner: SimpleNamespace, monkeypatch) -> dict:
    """Label -> (x, y) of every line in the figure that the hook saves."""
    figures = []
    original = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), original(self, *a, **k))
    )
    hook.after_train(runner)
    (axes,) = figures[0].axes
    return {line.get_label(): line.get_data() for line in axes.lines}


def test_lines_are_running_means_of_every_loss(runner, monkeypatch) -> None:
    losses = np.array([8.0, 6.0, 4.0, 2.0, 0.0])
    for loss in losses:
        runner.message_hub.update_scalar("train/loss", loss)
        runner.message_hub.update_scalar("train/loss_mask", loss / 4)
        runner.message_hub.update_scalar("train/lr", 0.1)
        runner.message_hub.update_scalar("val/loss_of_another_kind", 5.0)
    lines = drawn_lines(LossCurveHook(window=2), runner, monkeypatch)
    assert set(lines) == {"loss", "loss_mask"}
    np.testing.assert_array_equal(lines["loss"][0], [2, 3, 4, 5])
    np.testing.assert_allclose(lines["loss"][1], [7, 5, 3, 1])
    np.testing.assert_allclose(lines["loss_mask"][1], [1.75, 1.25, 0.75, 0.25])
    assert matplotlib.image.imread(Path(runner.work_dir) / "loss_curve.png").std() > 0.01


def test_a_run_shorter_than_the_window_is_drawn_too(runner, monkeypatch) -> None:
    runner.message_hub.update_scalar("train/loss", 3.0)
    lines = drawn_lines(LossCurveHook(window=20), runner, monkeypatch)
    np.testing.assert_array_equal(lines["loss"], [[1], [3.0]])


def test_nothing_to_draw_writes_nothing(runner) -> None:
    LossCurveHook().after_train(runner)
    assert not list(Path(runner.work_dir).iterdir())
