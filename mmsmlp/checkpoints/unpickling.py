"""What the pickle of a checkpoint may make: tensors, and nothing that runs."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.utils import digit_version


class _Inert:
    """Stands for what is beside the tensors in a training checkpoint; does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# What mmengine's runner (its message hub) and SPACH (its arguments) save along. Nothing of it is
# needed, so nothing of it is made.
BYSTANDERS = (
    "__builtin__.getattr",
    "_codecs.encode",
    "argparse.Namespace",
    "builtins.getattr",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
)
CAN_SKIP_BYSTANDERS = digit_version(torch.__version__) >= digit_version("2.6")


class _TensorUnpickler(pickle.Unpickler):
    """Makes what torch trusts, and inert things for bystanders.

    Before 2.6, torch's own unpickler takes a checkpoint with bystanders for a harmful one.
    """

    def find_class(self, module: str, name: str) -> Any:
        # Private: imported where an older torch needs it, lest a newer one without it breaks.
        from torch._weights_only_unpickler import _get_allowed_globals

        path = f"{module}.{name}"
        if path in BYSTANDERS:
            return _Inert
        if path not in (trusted := _get_allowed_globals()):
            raise pickle.UnpicklingError(f"GLOBAL {path}")
        return trusted[path]


# As torch.load takes it.
_TENSOR_PICKLE = SimpleNamespace(
    __name__=__name__,
    Unpickler=_TensorUnpickler,
    load=lambda file, **options: _TensorUnpickler(file, **options).load(),
)


def load_tensors(path: str, map_location: str) -> Any:
    """``torch.load`` of a file that may hold bystanders beside its tensors."""
    if CAN_SKIP_BYSTANDERS:
        with tensors_only():
            return torch.load(path, map_location, weights_only=True)
    return torch.load(path, map_location, pickle_module=_TENSOR_PICKLE, weights_only=False)


@contextmanager
def tensors_only() -> Iterator[None]:
    """Whoever calls ``torch.load`` in here, and however: it makes tensors and runs nothing."""
    names = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ[names[0]] = "1"
    try:
        with ExitStack() as stack:
            # Of pickles that torch did not write; what becomes of them is said later.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", UserWarning)
            if CAN_SKIP_BYSTANDERS:
                bystanders = [(_Inert, name) for name in BYSTANDERS]
                stack.enter_context(torch.serialization.safe_globals(bystanders))
            yield
    finally:
        os.environ.pop(names[0])
        os.environ.update({name: value for name, value in before.items() if value is not None})
