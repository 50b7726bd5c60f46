"""The learning rate that mmengine's schedulers make of a config is the paper's."""

from math import cos, pi
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmsmlp.engine.optim.schedule import draw_schedule, epoch_length, key_figures, learning_rates

CONFIGS = Path(__file__).parents[3] / "configs"
# A thousandth of ImageNet: the same curve in fewer steps.
IMAGES = 1_281
# Peak, warm-up in epochs, and images of an iteration.
RECIPES = {
    "smlpnet_t_in1k": (1e-3, 5, 128),
    "smlpnet_s_in1k": (1e-3, 5, 128),
    "smlpnet_b_in1k": (1e-3, 5, 128),
    "s2mlpv2_s4_in1k": (2e-3, 10, 128),
    "s2mlpv2_m4_in1k": (2e-3, 10, 93),
    "s2mlpv2_s7_in1k": (2e-3, 10, 128),
    "s2mlpv2_m7_in1k": (2e-3, 10, 93),
    "s2mlp_wide_in1k": (1e-3, 5, 128),
    "s2mlp_deep_in1k": (1e-3, 5, 128),
}


@pytest.mark.parametrize("name", RECIPES)
def test_pretraining_warms_up_and_follows_a_cosine_to_1e_5(name: str) -> None:
    pytest.importorskip("mmpretrain")
    cfg = Config.fromfile(CONFIGS / f"{name}.py")
    peak, warmup_epochs, images = RECIPES[name]
    length = epoch_length(cfg, IMAGES)
    assert length == -(-IMAGES // images)
    rates = learning_rates(cfg, length)
    total, warmup = 300 * length, warmup_epochs * length
    assert len(rates) == total

    def expected(i: int) -> float:
        if i < warmup:
            return peak * (1e-3 + (1 - 1e-3) * i / (warmup - 1))
        return 1e-5 + (peak - 1e-5) * (1 + cos(pi * (i - warmup) / (total - warmup))) / 2

    for i in (0, 1, warmup // 2, warmup - 1, warmup, total // 2, total * 3 // 4, total - 1):
        assert rates[i] == pytest.approx(expected(i), rel=1e-6), i
    figures = key_figures(rates)
    assert figures["first"] == (0, pytest.approx(peak / 1000))
    assert figures["peak"] == (pytest.approx(warmup, abs=1), pytest.approx(peak))
    assert figures["halfway"] == (total // 2, pytest.approx(expected(total // 2)))
    assert figures["last"] == (total - 1, pytest.approx(1e-5, rel=1e-4))


@pytest.mark.parametrize("name", ["upernet_smlpnet_t", "upernet_s2mlpv2_s4"])
def test_segmentation_warms_up_and_falls_to_zero(name: str) -> None:
    rates = learning_rates(Config.fromfile(CONFIGS / f"{name}.py"), epoch_length=1)
    assert len(rates) == 160_000
    for i in (0, 700, 1499):
        assert rates[i] == pytest.approx(6e-5 * (1e-6 + (1 - 1e-6) * i / 1499), rel=1e-6), i
    # The last iteration is the first at zero.
    for i in (1500, 80_000, 159_998, 159_999):
        expected = 6e-5 * (1 - (i - 1500) / (160_000 - 1 - 1500))
        assert rates[i] == pytest.approx(expected, rel=1e-3, abs=1e-15), i


def test_epochs_and_iterations_in_one_schedule() -> None:
    pytest.importorskip("mmdet")
    cfg = Config.fromfile(CONFIGS / "mask_rcnn_smlpnet_t.py")
    length = epoch_length(cfg, 117_266, num_gpus=8)
    assert length == 7330  # what mmdet logs for COCO
    rates = learning_rates(cfg, length)
    assert rates[[0, 999, 1000, 8 * length - 1]] == pytest.approx([1e-7, 1e-4, 1e-4, 1e-4])
    assert rates[[8 * length, 11 * length, -1]] == pytest.approx([1e-5, 1e-6, 1e-6])


def test_a_config_without_schedulers_is_constant() -> None:
    cfg = Config(
        dict(
            default_scope="mmengine",
            train_cfg=dict(max_iters=7),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        )
    )
    np.testing.assert_array_equal(learning_rates(cfg, epoch_length=1), np.full(7, 0.1))


def test_the_picture_shows_the_curve(tmp_path: Path) -> None:
    import matplotlib.image

    path = tmp_path / "schedule.png"
    draw_schedule(np.linspace(1, 0, 10_000), 100, "falling", path)
    # Below the legend and inside of the frame, the line alone is black.
    black = (matplotlib.image.imread(path)[200:520, 130:1030, :3] < 0.1).all(-1)
    rows, columns = np.nonzero(black)
    assert np.corrcoef(rows, columns)[0, 1] > 0.9
