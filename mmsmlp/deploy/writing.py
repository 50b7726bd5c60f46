"""Files of a part of a model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmsmlp.errors import ExportError, one_line

from .exporters import library, quiet

# From the first opset on that has Gelu, with LayerNormalization.
OPSET = 20
# The file's suffix by format, and the precisions that it comes in.
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torch": ("fp32", "fp16", "bf16"),
}
METADATA = "mmsmlp.json"
KEY = "mmsmlp"


def write(
    program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, Any], names: list[str]
) -> None:
    """Write a file in the format of its suffix.

    Args:
        program: Result of :func:`trace`.
        path: The file.
        metadata: Goes into the file.
        names: Of the outputs.

    Raises:
        ExportError: If the format has no form for an operation.
    """
    text = json.dumps(metadata)
    if path.suffix == SUFFIXES["torch"]:
        torch.export.save(program, path, extra_files={METADATA: text})
    elif path.suffix == SUFFIXES["onnx"]:
        _write_onnx(program, path, text, names)
    else:
        openvino = library("openvino")
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            onnx = Path(folder, "model.onnx")
            _write_onnx(program, onnx, text, names)
            model = openvino.convert_model(onnx)
        save_openvino(model, path, text, metadata["precision"])


def save_openvino(model: Any, path: Path, metadata: str, precision: str) -> None:
    """Write a model of OpenVINO, with weights of two bytes if it computes in fp16."""
    model.set_rt_info(metadata, [KEY])
    library("openvino").save_model(model, path, compress_to_fp16=precision == "fp16")


def _write_onnx(
    program: torch.export.ExportedProgram, path: Path, metadata: str, names: list[str]
) -> None:
    library("onnxscript")
    passes = library("onnx_ir.passes.common")
    with quiet():
        try:
            onnx = torch.onnx.export(
                program,
                program.example_inputs[0],
                dynamo=True,
                opset_version=OPSET,
                input_names=["image"],
                output_names=names,
                verbose=False,
            )
        except Exception as error:
            raise ExportError(f"ONNX has no form of it: {one_line(error)}") from error
    passes.CommonSubexpressionEliminationPass()(onnx.model)
    onnx.model.metadata_props[KEY] = metadata
    onnx.save(path)
