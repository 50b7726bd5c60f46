"""A pytest plugin: models in a library's own tests get one of our small backbones.

`tools/dev/theirs.py` runs them with it. The model registries of the library and of mmengine are
patched: a config of a model with a backbone is swapped before it is built. Each test adds a line of
JSON to the file that MMSMLP_THEIRS_REPORT names.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import ConfigDict

import mmsmlp.registry  # noqa: F401
from mmsmlp.errors import SwapError
from mmsmlp.swap import swap_backbone
from mmsmlp.swap.backbones import outputs_of

SMALL = dict(embed_dims=(16, 32, 48, 64), depths=(1, 1, 1, 1))
# Without drop path, because a test compares passes of a model in training mode.
NETWORKS = {
    name: dict(type=f"mmsmlp.{kind}", arch={**SMALL, **arch}, drop_path_rate=0.0)
    for name, kind, arch in [
        ("smlpnet", "SMLPNet", dict(mlp_ratio=2)),
        ("s2mlpv2", "S2MLPv2", dict(mlp_ratio=2, patch_sizes=(4, 2, 2, 2))),
        ("cyclemlp", "CycleMLP", dict(mlp_ratios=(2, 2, 2, 2))),
    ]
}
LIBRARY = os.environ["MMSMLP_THEIRS_LIBRARY"]
NETWORK = NETWORKS[os.environ["MMSMLP_THEIRS_NETWORK"]]
REPORT = Path(os.environ["MMSMLP_THEIRS_REPORT"])
swaps = 0


def of_same_channels(old: Mapping[str, Any]) -> dict[str, Any]:
    """One of our backbones with the channels of the old one, so nothing else changes.

    They are those of its first stages for mmseg, whose tests have images of 8 pixels and batch
    norms behind the backbone, and of its last ones for mmpretrain.
    """
    channels, dims = outputs_of(old, LIBRARY).channels, NETWORK["arch"]["embed_dims"]
    if len(channels) > 4:
        raise SwapError(f"its backbone has {len(channels)} outputs, and ours has 4")
    first = 0 if LIBRARY == "mmseg" else 4 - len(channels)
    last = first + len(channels)
    arch = dict(NETWORK["arch"], embed_dims=(*dims[:first], *channels, *dims[last:]))
    new = dict(NETWORK, arch=arch, out_indices=tuple(range(first, last)))
    outputs_of(new, LIBRARY)  # some networks need more channels
    return new


def swapped(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of a model with one of our backbones; others are not changed."""
    global swaps
    backbone = cfg.get("backbone") if isinstance(cfg, Mapping) else None
    if not isinstance(backbone, Mapping) or "mmsmlp" in str(backbone.get("type")):
        return cfg
    plain = ConfigDict(copy.deepcopy(cfg)).to_dict()
    try:
        if LIBRARY == "mmpretrain" or backbone["type"] == "ExampleBackbone":  # of mmseg's tests
            model = dict(plain, backbone=of_same_channels(plain["backbone"]))
        else:
            model = swap_backbone(dict(default_scope=LIBRARY, model=plain), NETWORK)["model"]
    except SwapError as error:
        pytest.skip(f"refused: {error}")
    swaps += 1
    return ConfigDict(model)


def patch_registry() -> None:
    """Swap the backbones of all models that registries build; mmdet's configs are the
    checkout's."""
    for library in (LIBRARY, "mmengine"):
        models = importlib.import_module(f"{library}.registry").MODELS

        def build(cfg: Any, *args: Any, _build: Any = models.build, **kwargs: Any) -> Any:
            return _build(swapped(cfg), *args, **kwargs)

        models.build = build
    if LIBRARY == "mmdet":
        utils = importlib.import_module("mmdet.testing._utils")
        configs = str(Path(os.environ["MMSMLP_THEIRS_CHECKOUT"], "configs"))
        utils._get_config_directory = lambda: configs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    """Count the swaps of a test."""
    global swaps
    swaps = 0
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a line for each test, and for errors before or after it."""
    if report.when != "call" and report.passed:
        return
    reason = ""
    if report.skipped:
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "expected"
    elif report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = crash.message if crash else str(report.longrepr)
    if len(reason) > 500:  # a model that is printed
        reason = f"{reason[:200]} … {reason[-200:]}"
    line = dict(test=report.nodeid, outcome=report.outcome, swaps=swaps, reason=reason)
    with REPORT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


patch_registry()
