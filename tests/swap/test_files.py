"""Config files: named as a base, written whole or not at all."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmsmlp.engine.runner import find_config
from mmsmlp.errors import SwapError, UsageError
from mmsmlp.swap import base_of, written


def test_a_config_beside_is_named_by_its_path_from_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert base_of(tmp_path / "old" / "a.py", tmp_path / "new") == "'../old/a.py'"


@pytest.mark.parametrize(
    "name",
    [
        "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
        "mmseg::pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py",
    ],
)
def test_a_shipped_config_is_inherited_wherever_the_package_is(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name.partition("::")[0])
    found = find_config(name)
    base = base_of(found, tmp_path)
    assert str(found.parent) not in base
    with written(tmp_path / "new.py", "New.", base, dict(model=dict(extra=1))):
        pass
    old, new = Config.fromfile(found), Config.fromfile(tmp_path / "new.py")
    assert new.model.pop("extra") == 1
    assert new.model.backbone == old.model.backbone


def test_nothing_is_left_of_a_config_that_fails(tmp_path: Path) -> None:
    target = tmp_path / "new.py"
    target.write_text("a = 1")

    def fail() -> None:
        with written(target, "New.", "[]", dict(b=2)) as draft:
            assert Config.fromfile(draft).b == 2
            raise SwapError("no")

    with pytest.raises(SwapError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["new.py"]
    assert target.read_text() == "a = 1"


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere.py", "does not exist"), ("mmnone::a/b.py", "'mmnone' is not installed")],
)
def test_a_config_that_is_not_there_is_an_error(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_config(name)
