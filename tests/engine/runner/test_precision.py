"""Which kind of mixed precision a run has."""

import pytest
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper

import mmsmlp.engine.runner.precision
from mmsmlp.engine.runner import fit_precision

PLAIN = dict(optimizer=dict(type="AdamW"))
SCALED = dict(PLAIN, loss_scale="dynamic", dtype="float16")
HALF = dict(PLAIN, type="mmsmlp.BFloat16OptimWrapper")
GPU = dict(PLAIN, type="AmpOptimWrapper", loss_scale="dynamic")


@pytest.mark.parametrize(
    ("device", "amp", "given", "expected"),
    [
        ("cpu", False, PLAIN, PLAIN),
        ("cpu", True, PLAIN, HALF),
        ("cpu", True, dict(PLAIN, type="OptimWrapper"), HALF),
        ("cpu", False, dict(SCALED, type="AmpOptimWrapper"), HALF),
        ("cpu", False, dict(SCALED, type=AmpOptimWrapper), HALF),
        ("cuda", False, PLAIN, PLAIN),
        ("cuda", True, PLAIN, GPU),
        ("cuda", True, dict(PLAIN, loss_scale=512.0), dict(GPU, loss_scale=512.0)),
    ],
)
def test_the_config_fits_the_device(
    monkeypatch: pytest.MonkeyPatch, device: str, amp: bool, given: dict, expected: dict
) -> None:
    monkeypatch.setattr(mmsmlp.engine.runner.precision, "get_device", lambda: device)
    cfg = Config(dict(optim_wrapper=given))
    fit_precision(cfg, amp)
    assert cfg.optim_wrapper.to_dict() == expected
