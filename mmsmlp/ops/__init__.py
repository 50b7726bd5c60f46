"""OpenMMLab's compiled operators, made of torchvision's and torch's functions.

mmcv's operators are a compiled module, ``mmcv._ext``. If it was not built, importing ``mmsmlp``
supplies one, and ``mmcv.ops`` works on every device, without a compiler. If it was built, nothing
changes. Libraries import ``mmcv.ops`` once, so ``mmsmlp`` must be imported first: by
``import mmsmlp.ops`` in a script, or in a config by
``custom_imports = dict(imports=["mmsmlp.ops"], allow_failed_imports=False)``.

Only the standard library is imported here: see ``mmsmlp/__init__.py``.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "mmcv._ext"
PARTS = ("boxes", "deformable", "losses", "maps", "norms", "regions")


class Operators(ModuleType):
    """A module instead of ``mmcv._ext``; operators that it does not have raise when called."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        from mmsmlp.ops.missing import missing_operator

        return missing_operator(name)


class OperatorLoader(Loader):
    """Fills the module with the operators of this package."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that knows which operators it does not have."""
        return Operators(spec.name, __doc__)

    def exec_module(self, module: ModuleType) -> None:
        """Imports torchvision, and with it all operators."""
        from mmsmlp.ops.base import OPERATORS

        for part in PARTS:
            import_module(f"mmsmlp.ops.{part}")
        vars(module).update(OPERATORS)


class OperatorFinder(MetaPathFinder):
    """Finds ``mmcv._ext``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A specification of this package's operators, if they are asked for."""
        return ModuleSpec(fullname, OperatorLoader()) if fullname == NAME else None


# The last to be asked: a compiled module is found before.
FINDER = OperatorFinder()
sys.meta_path.append(FINDER)
