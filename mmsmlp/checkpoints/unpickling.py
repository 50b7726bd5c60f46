"""What the pickle of a checkpoint may make: tensors, the state of a run, nothing that runs."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version


class _Inert:
    """Stands for what is beside the tensors in a training checkpoint; does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _History(HistoryBuffer):
    """Becomes mmengine's buffer of what was logged, but takes no functions along, as that does."""

    def __setstate__(self, state: dict) -> None:
        self.__class__ = HistoryBuffer
        self.__init__(state["_log_history"], state["_count_history"], state["max_length"])


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, as the second protocol of pickles writes them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"GLOBAL {encoding}")
    return text.encode(encoding)


def _storage(content: bytes) -> Any:
    """Numbers of a tensor, which its pickle has as a file of torch in the file."""
    with tensors_only():
        return torch.load(BytesIO(content), weights_only=True)


# What mmengine's runner (its message hub) and SPACH (its arguments) save beside tensors, and what
# is made of it where a run is to go on. Functions, which a HistoryBuffer names by getattr, and
# arguments are not needed.
STATE = {
    "__builtin__.getattr": _Inert,
    "_codecs.encode": _encode,
    "argparse.Namespace": _Inert,
    "builtins.getattr": _Inert,
    "mmengine.logging.history_buffer.HistoryBuffer": _History,
    "numpy._core.multiarray._reconstruct": np.zeros(0).__reduce__()[0],
    "numpy._core.multiarray.scalar": np.float64().__reduce__()[0],
    "numpy.core.multiarray._reconstruct": np.zeros(0).__reduce__()[0],
    "numpy.core.multiarray.scalar": np.float64().__reduce__()[0],
    "numpy.dtype": np.dtype,
    "numpy.ndarray": np.ndarray,
}
# In what a test dumps: the numbers of tensors, and annotations, which are not needed.
PREDICTIONS = {
    "torch.storage._load_from_bytes": _storage,
    "mmdet.structures.bbox.horizontal_boxes.HorizontalBoxes": _Inert,
    "mmdet.structures.mask.structures.BitmapMasks": _Inert,
    "mmdet.structures.mask.structures.PolygonMasks": _Inert,
}
# Where only the tensors are wanted, nothing beside them is made.
TENSORS = dict.fromkeys(STATE, _Inert)
CAN_SKIP_BYSTANDERS = digit_version(torch.__version__) >= digit_version("2.6")


def _pickle_module(known: Mapping[str, Any]) -> SimpleNamespace:
    """What torch.load takes in the place of the module pickle.

    Its unpickler makes what torch trusts, and what is known. Before 2.6, torch's own one takes a
    checkpoint with anything beside its tensors for a harmful one.
    """

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            # Private: imported only where an older torch needs it: a newer one may not have it.
            from torch._weights_only_unpickler import _get_allowed_globals

            path = f"{module}.{name}"
            if path in known:
                return known[path]
            if path not in (trusted := _get_allowed_globals()):
                raise pickle.UnpicklingError(f"GLOBAL {path}")
            return trusted[path]

    return SimpleNamespace(
        __name__=__name__,
        Unpickler=Unpickler,
        load=lambda file, **options: Unpickler(file, **options).load(),
    )


def load_safely(path: str, map_location: Any, known: Mapping[str, Any]) -> Any:
    """``torch.load`` of a file, whose pickle makes tensors and what is known, and runs nothing.

    Args:
        path: Path of the file.
        map_location: Device to put the tensors on, as torch.load has it.
        known: ``TENSORS`` or ``STATE``.
    """
    if CAN_SKIP_BYSTANDERS:
        with tensors_only(known):
            return torch.load(path, map_location, weights_only=True)
    return torch.load(path, map_location, pickle_module=_pickle_module(known), weights_only=False)


@contextmanager
def tensors_only(known: Mapping[str, Any] = TENSORS) -> Iterator[None]:
    """Whoever calls ``torch.load`` in here, and however: it does as :func:`load_safely`."""
    names = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ[names[0]] = "1"
    try:
        with ExitStack() as stack:
            # Of pickles that torch did not write; what becomes of them is said later.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", UserWarning)
            if CAN_SKIP_BYSTANDERS:
                # Torch asks for the class of a data type as well, before it sets its state.
                types = {type(np.dtype(code)) for code in np.typecodes["All"]}
                named = [(made, name) for name, made in known.items()]
                stack.enter_context(torch.serialization.safe_globals([*types, *named]))
            yield
    finally:
        os.environ.pop(names[0])
        os.environ.update({name: value for name, value in before.items() if value is not None})


def unpickle_safely(file: BinaryIO) -> Any:
    """``pickle.load`` of predictions that a test dumped; makes tensors and arrays, runs nothing.

    Raises:
        pickle.UnpicklingError: If there is anything else in it, or it is no pickle.
    """
    return _pickle_module({**STATE, **PREDICTIONS}).load(file)
