"""Exported files, run by the runtime that their format is for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmsmlp.errors import ExportError

from .exporters import library, quiet
from .parts import unflatten
from .writing import KEY, METADATA, SUFFIXES

# From an image (N, 3, H, W) to all tensors.
Function = Callable[[np.ndarray], list[np.ndarray]]


class Exported:
    """A model in a file.

    Args:
        path: The file, in any of the formats.
        runtime: ``'onnxruntime'``, ``'openvino'`` or ``'torch'``; what the file's format is for if
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
        """(N, 3, H, W), normalised -> all tensors of the results."""
        found = self._function(image.cpu().numpy())
        return [torch.from_numpy(np.asarray(y)).to(image.device) for y in found]

    def __call__(self, image: Tensor) -> dict[str, Any]:
        """(N, 3, H, W), normalised -> results by name: tensors, or nested lists of them."""
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
