"""Who gets the operators, and what those say that are not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# As if mmcv had been installed without a compiler: its module is hidden from Python.
HIDE = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "mmcv._ext":
            for finder in sys.meta_path:
                if type(finder).__module__ == "mmsmlp.ops":
                    return finder.find_spec(name, path, target)
            raise ModuleNotFoundError("No module named 'mmcv._ext'", name=name)

sys.meta_path.insert(0, Hide())
"""
# mmdet's own tool, but for the training.
BUILD = """
import sys
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

config = Config.fromfile(sys.argv[1])
init_default_scope("mmdet")
model = MODELS.build(config.model)
import mmcv._ext
print(model.roi_head.bbox_roi_extractor.roi_layers[0], mmcv._ext.__loader__)
"""
CONFIG = f"""
_base_ = "{ROOT}/configs/mask_rcnn_smlpnet_t.py"
custom_imports = dict(imports=["mmsmlp.ops"], allow_failed_imports=False)
"""
MISSING = """
import mmsmlp.ops, mmcv.ops, torch

class RotatedHead(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = mmcv.ops.RoIAlignRotated(2, 1.0)

    def forward(self, x):
        return self.layer(x, torch.rand(1, 6))

RotatedHead()(torch.rand(1, 1, 4, 4))
"""


@pytest.fixture
def without_compiled(tmp_path: Path) -> dict[str, str]:
    """An environment in whose processes mmcv has no compiled operators."""
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    return {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}


def run(script: str, *args: object, env: dict[str, str] | None = None) -> tuple[str, str]:
    command = [sys.executable, "-c", script, *map(str, args)]
    environment = os.environ | (env or {"PYTHONPATH": str(ROOT)})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return done.stdout.strip(), done.stderr.strip().rpartition("\n")[2]


def test_one_import_supplies_them(without_compiled: dict[str, str]) -> None:
    pytest.importorskip("mmcv.ops")
    script = "import mmcv.ops, mmcv._ext; print(mmcv._ext.__loader__)"
    _, error = run(script, env=without_compiled)
    assert error == "ModuleNotFoundError: No module named 'mmcv._ext'"
    found, _ = run("import mmsmlp.ops;" + script, env=without_compiled)
    assert "mmsmlp.ops.OperatorLoader" in found


def test_compiled_ones_are_left_alone(compiled) -> None:
    found, _ = run("import mmsmlp.ops, mmcv.ops, mmcv._ext; print(mmcv._ext.__file__)")
    assert found == compiled.__file__


def test_importing_the_package_imports_no_torch() -> None:
    found, _ = run("import sys, mmsmlp; print(sorted({'torch', 'mmcv'} & sys.modules.keys()))")
    assert found == "[]"


def test_a_line_in_a_config_supplies_them_to_tools_of_mmdet(
    tmp_path: Path, without_compiled: dict[str, str]
) -> None:
    pytest.importorskip("mmdet")
    (tmp_path / "config.py").write_text(CONFIG)
    found, error = run(BUILD, tmp_path / "config.py", env=without_compiled)
    assert found.startswith("RoIAlign(") and "mmsmlp.ops.OperatorLoader" in found, error


def test_a_missing_operator_is_one_line(without_compiled: dict[str, str]) -> None:
    pytest.importorskip("mmcv.ops")
    _, error = run(MISSING, env=without_compiled)
    assert error.startswith(
        "NotImplementedError: mmcv's operator roi_align_rotated_forward, which RotatedHead needs, "
        "is not in mmsmlp.ops: compile mmcv, by MMCV_WITH_OPS=1 pip install"
    )
    assert "mmcv" in error.split()[-1] and "lite" not in error


def test_a_missing_option_is_one_line(use, ours) -> None:
    ops = pytest.importorskip("mmcv.ops")
    import torch

    use(ours)
    layer = ops.RoIAlign(2, pool_mode="max")
    with pytest.raises(NotImplementedError, match="operator roi_align with pool_mode='max' is not"):
        layer(torch.rand(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 3, 3]]))
