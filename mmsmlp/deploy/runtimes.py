"""Exported files: run by the runtime of their format, alone or within a model of OpenMMLab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmsmlp.errors import ExportError

from .exporters import library, quiet
from .parts import KINDS, FeaturesAndHead, Part, Segmentor, kind_of, unflatten
from .writing import KEY, METADATA, SUFFIXES

# From an image (N, C, H, W) to all tensors.
Function = Callable[[np.ndarray], list[np.ndarray]]


class Exported:
    """A model in a file.

    Args:
        path: The file, in any of the formats.
        runtime: ``'onnxruntime'``, ``'openvino'`` or ``'torch'``; the one for the file's format if
            not given. OpenVINO runs ONNX as well.

    Attributes:
        metadata: See :func:`~mmsmlp.deploy.metadata.metadata_of`.

    Raises:
        ExportError: If it is no such file, or is broken.
    """

    def __init__(self, path: str | Path, runtime: str | None = None) -> None:
        path = Path(path)
        if path.suffix not in DEFAULTS:
            raise ExportError(f"{str(path)!r} is no export; those end in {', '.join(DEFAULTS)}")
        if not path.is_file():
            raise ExportError(f"there is no file {str(path)!r}")
        try:
            metadata, self._function = RUNTIMES[runtime or DEFAULTS[path.suffix]](path)
        except ExportError:
            raise
        except Exception as error:  # every runtime has its own
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ExportError(f"{str(path)!r} cannot be read: {reason[0]}") from error
        if not metadata:
            raise ExportError(f"{str(path)!r} was not written by tools/export.py")
        self.metadata: dict[str, Any] = json.loads(metadata)

    def tensors(self, image: Tensor) -> list[Tensor]:
        """(N, C, H, W), normalised -> all tensors of the results."""
        found = self._function(image.cpu().numpy())
        return [torch.from_numpy(np.asarray(y)).to(image.device) for y in found]

    def __call__(self, image: Tensor) -> dict[str, Any]:
        """(N, C, H, W), normalised -> results by name: tensors, or nested lists of them."""
        results = unflatten(self.tensors(image), self.metadata["nest"])
        return dict(zip(self.metadata["names"], results, strict=True))


def _onnxruntime(path: Path) -> tuple[str | None, Function]:
    onnxruntime = library("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, onnxruntime.get_available_providers())
    (image,) = session.get_inputs()
    metadata = session.get_modelmeta().custom_metadata_map.get(KEY)
    return metadata, lambda x: session.run(None, {image.name: x})


def _openvino(path: Path) -> tuple[str | None, Function]:
    openvino = library("openvino")
    model = openvino.Core().read_model(path)
    metadata = None
    # Of a converted ONNX file, OpenVINO keeps the metadata elsewhere.
    for keys in ([KEY], ["framework", KEY]):
        if model.has_rt_info(keys):
            metadata = model.get_rt_info(keys).astype(str)
    if metadata is None:
        return None, lambda x: []
    reduced = json.loads(metadata)["precision"] == "bf16"
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if reduced else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    return metadata, lambda x: [np.array(y) for y in request.infer([x]).values()]


def _torch(path: Path) -> tuple[str | None, Function]:
    extra = {METADATA: ""}
    with quiet():
        network = torch.export.load(path, extra_files=extra).module()

    @torch.no_grad()
    def run(x: np.ndarray) -> list[np.ndarray]:
        return [y.numpy() for y in network(torch.from_numpy(x))]

    return extra[METADATA], run


RUNTIMES = dict(onnxruntime=_onnxruntime, openvino=_openvino, torch=_torch)
DEFAULTS = dict(zip(SUFFIXES.values(), RUNTIMES, strict=True))


def is_export(path: str) -> bool:
    """Whether a path is that of an exported file rather than of a checkpoint."""
    return Path(path).suffix in DEFAULTS


def check_rest(path: str, exported: Exported, rest: str | None) -> None:
    """Make sure that weights are given only for the parts that a file leaves to torch.

    Args:
        path: The file.
        exported: Its contents.
        rest: The checkpoint that was given.

    Raises:
        ExportError: If they are not.
    """
    kind = exported.metadata["kind"]
    # The parts after a backbone are in no file.
    lacks = kind == Part.kind or KINDS[kind].leaves
    if lacks and rest is None:
        raise ExportError(
            f"{path!r} holds a part of a {kind}: add --rest CHECKPOINT for the others"
        )
    if rest is not None and not lacks:
        raise ExportError(f"--rest: {path!r} holds a whole {kind}")


def use_exported(model: nn.Module, exported: Exported) -> None:
    """Let a model run a file instead of the exported parts.

    The model keeps the other parts: it normalises images, slides over them, decodes
    boxes, and makes scores of logits.

    Args:
        model: A model of mmdet, mmseg or mmpretrain, changed in place.
        exported: The file.

    Raises:
        ExportError: If the file is of another kind of model.
    """
    held = exported.metadata["kind"]
    preprocessor = model.data_preprocessor
    # The file pads by itself, and treats earlier padding as part of the image.
    if hasattr(preprocessor, "pad_size_divisor"):
        preprocessor.pad_size_divisor = 1
    if hasattr(preprocessor, "test_cfg"):
        preprocessor.test_cfg = None
    if held == Part.kind:
        model.backbone.forward = lambda image: tuple(exported(image)["features"])
        return
    kind = kind_of(model)
    if held != kind.kind:
        raise ExportError(f"the file holds a {held}, the config describes a {kind.kind}")
    if issubclass(kind, FeaturesAndHead):
        cached: list[Any] = []

        def features_of(image: Tensor) -> tuple[Tensor, ...]:
            results = exported(image)
            cached[:] = results[kind.names[1]]
            return tuple(results["features"])

        model.extract_feat = features_of
        getattr(model, kind.head).forward = lambda features: tuple(cached)
        return
    if kind is Segmentor:
        model.encode_decode = lambda image, metas: exported(image)["logits"]
        return
    (name,) = kind.names
    head = getattr(model, kind.head)
    model.extract_feat = lambda image: exported(image)[name]
    # The file gives the output of the head.
    head.forward = lambda results: results
