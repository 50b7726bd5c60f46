"""The two makes of mmcv's operators, of which each test may use either."""

import sys
from collections.abc import Callable
from importlib.util import module_from_spec
from types import ModuleType

import mmcv
import pytest

import mmsmlp.ops


@pytest.fixture(scope="session")
def ours() -> ModuleType:
    spec = mmsmlp.ops.FINDER.find_spec("mmcv._ext")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def compiled() -> ModuleType:
    module = pytest.importorskip("mmcv._ext")
    if not getattr(module, "__file__", None):
        pytest.skip("mmcv was not compiled")
    return module


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], None]:
    """Makes mmcv.ops call the operators of a module."""
    pytest.importorskip("mmcv.ops")

    def choose(operators: ModuleType) -> None:
        for name, module in list(sys.modules.items()):
            if name.startswith("mmcv.ops.") and hasattr(module, "ext_module"):
                monkeypatch.setattr(module, "ext_module", operators)

    assert mmcv.ops
    return choose
