"""Configs by name."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmsmlp.model_zoo import ROOT, config_path


def test_a_config_inherits_by_name_and_gets_no_scope(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text('_base_ = "mmsmlp::upernet_smlpnet_t.py"\nmodel = dict(neck=None)')
    expected = Config.fromfile(ROOT / "configs" / "upernet_smlpnet_t.py").to_dict()
    expected["model"]["neck"] = None
    assert Config.fromfile(child).to_dict() == expected


def test_names_of_other_libraries_still_go_to_mmengine(tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    child = tmp_path / "child.py"
    child.write_text('_base_ = "mmdet::_base_/schedules/schedule_1x.py"')
    assert Config.fromfile(child).train_cfg.max_epochs == 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mmsmlp::nothing.py", r"mmsmlp has no config 'nothing\.py' \(looked for .*nothing\.py\)"),
        ("nothing::a.py", r"'nothing' is not installed"),
    ],
)
def test_missing_files_are_named(name: str, message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        config_path(name)
