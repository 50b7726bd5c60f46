"""Reading checkpoints without running their code, and writing them atomically."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial, update_wrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.utils import digit_version
from torch import Tensor

from mmsmlp.errors import CheckpointError, TornCheckpointError, shorten

from .sources import source_of

# Where a state dict is found in a checkpoint, and the exponential moving average of one; in this
# order, by mmengine and timm, by DeiT and its descendants, by DeepSpeed.
RAW = ("state_dict", "model", "module")
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict")


def read_checkpoint(
    source: str | Path,
    map_location: Any = "cpu",
    trust: bool = False,
    load: Callable[..., Any] = CheckpointLoader.load_checkpoint,
) -> dict[str, Any]:
    """Read a checkpoint without running any code of it.

    Args:
        source: Path of a file that ``torch.save`` or safetensors wrote, or a URL that mmengine can
            load: ``https://``, ``torchvision://``, ``open-mmlab://``, ``s3://``.
        map_location: Device to put the tensors on.
        trust: Whether to read any object, too, which runs any code in the file.
        load: Function that loads URLs.

    Returns:
        The contents of the file; objects other than tensors and the state of a run are inert.

    Raises:
        CheckpointError: If there is no such file, or it is cut short, is no checkpoint, claims
            to hold more than fits into it, or holds code.
    """
    source = str(source)
    try:
        checkpoint = _read(source, map_location, trust, load)
    except CheckpointError:
        raise
    except Exception as error:
        raise _why_unreadable(source, error) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{source!r} is not a checkpoint: it holds a {type(checkpoint).__name__}, not a dict"
        )
    if not trust and isinstance(checkpoint.get("meta"), dict):
        # Of old releases; mmengine runs it as Python where it resumes.
        checkpoint["meta"].pop("config", None)
    return checkpoint


def _read(source: str, map_location: Any, trust: bool, load: Callable[..., Any]) -> Any:
    if source.endswith(".safetensors"):
        return _read_safetensors(source, map_location)
    if "://" in source:
        with nullcontext() if trust else tensors_only():
            return load(source, map_location=map_location)
    path = os.path.expanduser(source)
    check_archive(path)
    if trust:
        return torch.load(path, map_location, weights_only=False)
    checkpoint = load_safely(path, map_location)
    check_tensors(checkpoint, path)
    return checkpoint


def guard_loading(trust: bool = False) -> None:
    """From now on, let mmengine read every checkpoint as :func:`read_checkpoint` does.

    That goes for ``load_from``, ``--resume``, and any model of any library that loads its own.

    Args:
        trust: Whether code in checkpoints may run nevertheless.
    """
    for prefix, loader in list(CheckpointLoader._schemes.items()):
        loader = getattr(loader, "__wrapped__", loader)
        guarded = partial(_read_guarded, loader, trust)
        CheckpointLoader.register_scheme(prefix, update_wrapper(guarded, loader), force=True)


def _read_guarded(loader: Callable, trust: bool, source: str, map_location: Any = None) -> Any:
    return with_our_names(read_checkpoint(source, map_location, trust, loader))


def with_our_names(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint as mmengine loads it, if it is one of the authors of a network.

    Args:
        checkpoint: The contents of a file; others are returned unchanged.
    """
    places = [checkpoint[key] for key in RAW if key in checkpoint] or [checkpoint]
    weights = _tensors(places[0])
    if (source := source_of(weights)) is None:
        return checkpoint
    return dict(state_dict=source.convert(weights)[0], meta=dict(source=source.repository))


def _why_unreadable(source: str, error: Exception) -> CheckpointError:
    if isinstance(error, FileNotFoundError):
        return CheckpointError(f"checkpoint {source!r} does not exist")
    if refused := re.search(r"(?:GLOBAL|Unsupported class) (\S+)", str(error)):
        return CheckpointError(
            f"{source!r} holds more than tensors ({refused[1]}): refused, none of it was run"
        )
    # Torch fails with an OSError of no file, too, where it seeks beyond the end.
    if (isinstance(error, OSError) and error.filename) or "://" in source:
        reason = getattr(error, "strerror", None) or error
        return CheckpointError(f"cannot read {source!r}: {reason}")
    return TornCheckpointError(f"{source!r} is not a checkpoint, or is cut short")


def _read_safetensors(path: str, map_location: str) -> dict[str, Any]:
    safetensors = import_safetensors()
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(path)
    with safetensors.safe_open(path, framework="pt", device=map_location) as file:
        state_dict = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        meta = (file.metadata() or {}).get("meta", "{}")
    return {"state_dict": state_dict, "meta": json.loads(meta)}


def import_safetensors() -> Any:
    """The library safetensors.

    Raises:
        CheckpointError: If it is not installed.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise CheckpointError(
            "a .safetensors file needs the library: pip install safetensors"
        ) from error
    return safetensors


def weights_of(
    checkpoint: Mapping[str, Any], ema: bool | None = None
) -> tuple[dict[str, Tensor], str]:
    """Find the state dict in a checkpoint.

    Args:
        checkpoint: The result of :func:`read_checkpoint`, or a bare state dict.
        ema: Whether to take the exponential moving average of the weights; if None, the weights
            that were evaluated in training: the average with mmengine's ``EMAHook``, otherwise the
            weights themselves.

    Returns:
        The tensors of the state dict, and under which key it was.

    Raises:
        CheckpointError: If there is none, or not the one that is asked for.
    """
    found = {key: checkpoint[key] for key in (*RAW, *AVERAGED) if _tensors(checkpoint.get(key))}
    raw = [key for key in RAW if key in found]
    averaged = [key for key in AVERAGED if key in found]
    if "state_dict" in found and "ema_state_dict" in found:
        # EMAHook exchanges the two as it saves, so that other tools find the average.
        raw, averaged = ["ema_state_dict"], ["state_dict"]
        candidates = raw if ema is False else averaged
    elif ema is None:
        candidates = raw + averaged
    else:
        candidates = averaged if ema else raw
    if candidates:
        return _tensors(found[candidates[0]]), candidates[0]
    if not ema and _tensors(checkpoint):
        return _tensors(checkpoint), "the file itself"
    wanted = {None: "weights", True: "averaged weights (EMA)", False: "weights without averaging"}
    raise CheckpointError(
        f"there are no {wanted[ema]} in it; it has {shorten(map(str, checkpoint), 8)}"
    )


def _tensors(weights: Any) -> dict[str, Tensor]:
    """The named tensors among some values; those of the wrapped model alone if one was saved."""
    if not isinstance(weights, Mapping):
        return {}
    tensors = {k: v for k, v in weights.items() if isinstance(k, str) and isinstance(v, Tensor)}
    wrapped = {k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")}
    return wrapped or tensors


class _Inert:
    """Placeholder for other objects than tensors in a training checkpoint; does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _History(HistoryBuffer):
    """mmengine's buffer of logged values, but without its functions."""

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
        return torch.load(io.BytesIO(content), weights_only=True)


# Other objects that mmengine's runner (its message hub) and SPACH (its arguments) save, and their
# replacements in a resumed run. Functions, which a HistoryBuffer names by getattr, and arguments
# are not needed.
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
# In the results of a test: the numbers of tensors, and annotations, which are not needed.
PREDICTIONS = {
    "torch.storage._load_from_bytes": _storage,
    "mmdet.structures.bbox.horizontal_boxes.HorizontalBoxes": _Inert,
    "mmdet.structures.mask.structures.BitmapMasks": _Inert,
    "mmdet.structures.mask.structures.PolygonMasks": _Inert,
}
CAN_SKIP_BYSTANDERS = digit_version(torch.__version__) >= digit_version("2.6")


def _pickle_module(known: Mapping[str, Any]) -> SimpleNamespace:
    """Argument of torch.load, instead of the module pickle.

    Its unpickler accepts the types that torch trusts and the ones above. Before 2.6, torch's own
    unpickler rejects a checkpoint with any other object.
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


def load_safely(path: str, map_location: Any) -> Any:
    """``torch.load`` of a file, whose pickle makes tensors and ``STATE``, and runs nothing.

    Args:
        path: Path of the file.
        map_location: Device to put the tensors on, as torch.load has it.
    """
    if CAN_SKIP_BYSTANDERS:
        with tensors_only():
            return torch.load(path, map_location, weights_only=True)
    return torch.load(path, map_location, pickle_module=_pickle_module(STATE), weights_only=False)


@contextmanager
def tensors_only() -> Iterator[None]:
    """Whoever calls ``torch.load`` in here, and however: it does as :func:`load_safely`."""
    names = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ[names[0]] = "1"
    try:
        with ExitStack() as stack:
            # Of pickles that torch did not write; they are reported later.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", UserWarning)
            if CAN_SKIP_BYSTANDERS:
                # Torch asks for the class of a data type as well, before it sets its state.
                types = {type(np.dtype(code)) for code in np.typecodes["All"]}
                named = [(made, name) for name, made in STATE.items()]
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


def check_archive(path: str) -> None:
    """Refuse an archive that unpacks to more than itself; torch compresses nothing.

    Raises:
        CheckpointError: Then.
    """
    if not os.path.isfile(path) or not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(record.file_size for record in archive.infolist())
    except zipfile.BadZipFile:
        return  # torch raises it
    _refuse_larger(path, "unpacks to", unpacked)


def check_tensors(checkpoint: Any, path: str) -> None:
    """Refuse tensors that have more values, or a larger memory, than their file has bytes.

    Raises:
        CheckpointError: Then, or if one is sparse or has no values.
    """
    storages = {}
    for tensor in _tensors_in(checkpoint):
        if tensor.layout is not torch.strided or tensor.is_meta:
            kind = "of no values" if tensor.is_meta else f"of layout {tensor.layout}"
            raise CheckpointError(f"{path!r} holds a tensor {kind}: only dense ones are read")
        _refuse_larger(path, "holds a tensor of", tensor.numel() * tensor.element_size())
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    _refuse_larger(path, "holds tensors of", sum(storages.values()))


def _tensors_in(root: Any) -> Iterator[Tensor]:
    """All tensors in nested containers, which a file can make contain themselves."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Tensor):
            yield node
        elif isinstance(node, Mapping):
            nodes.extend(node.values())
        elif isinstance(node, list | tuple):
            nodes.extend(node)


def _refuse_larger(path: str, claim: str, claimed: int) -> None:
    size = os.path.getsize(path)
    if claimed > size:
        raise CheckpointError(f"{path!r} has {size:,} bytes and {claim} {claimed:,}: refused")


# Suffix of the names of incomplete files.
PARTIAL = ".part"


def publishable(weights: Mapping[str, Tensor], meta: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint as OpenMMLab's libraries load it, of plain tensors and plain values.

    Args:
        weights: State dict.
        meta: Other information; only numbers, strings and containers of these are saved.

    Returns:
        ``dict(state_dict=…, meta=…)``, whose tensors share no memory with anything.
    """
    state_dict = {key: value.detach().cpu().clone() for key, value in weights.items()}
    return {"state_dict": state_dict, "meta": _plain(dict(meta))}


_NOT_PLAIN = object()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = ((key, _plain(item)) for key, item in value.items() if isinstance(key, str | int))
        return {key: item for key, item in items if item is not _NOT_PLAIN}
    if isinstance(value, list | tuple):
        return type(value)(item for v in value if (item := _plain(v)) is not _NOT_PLAIN)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value if isinstance(value, str | int | float | bool | None) else _NOT_PLAIN


def serialise(checkpoint: Mapping[str, Any], suffix: str) -> bytes:
    """The bytes of a checkpoint; the same checkpoint gives the same bytes.

    Args:
        checkpoint: From :func:`publishable`.
        suffix: ``'.pth'`` or ``'.safetensors'``.

    Returns:
        The content of the file.

    Raises:
        CheckpointError: If the suffix is another, or the library safetensors is needed and missing.
    """
    if suffix == ".safetensors":
        meta = {"format": "pt", "meta": json.dumps(checkpoint["meta"])}
        return import_safetensors().torch.save(dict(checkpoint["state_dict"]), meta)
    if suffix != ".pth":
        raise CheckpointError(f"a checkpoint ends in .pth or .safetensors, not {suffix!r}")
    buffer = io.BytesIO()
    torch.save(dict(checkpoint), buffer)
    return buffer.getvalue()


def write_atomically(data: bytes, path: Path) -> None:
    """Write a file atomically: its path has the complete new file or the old one.

    Args:
        data: The content.
        path: The file.

    Raises:
        CheckpointError: If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(f"cannot write {str(path)!r}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_partial(folder: Path) -> None:
    """Remove incomplete files of :func:`write_atomically`, left when it was killed."""
    for leftover in folder.glob(f".*{PARTIAL}"):
        leftover.unlink(missing_ok=True)
