"""Files of a part of a model."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .errors import ExportError, library

# From the first opset on that has Gelu, with LayerNormalization.
OPSET = 20
# Of the image that is traced: no size of it on any level is a native one of ours.
TRACED = (2, 3, 288, 320)
# The file's suffix by format, and the precisions that it comes in.
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torch": ("fp32", "fp16", "bf16"),
}
METADATA = "mmsmlp.json"
KEY = "mmsmlp"


def trace(part: nn.Module) -> torch.export.ExportedProgram:
    """One graph for any batch, height and width.

    Raises:
        ExportError: If torch cannot make it.
    """
    if not hasattr(torch, "export") or not hasattr(torch.export.Dim, "DYNAMIC"):
        raise ExportError(f"torch {torch.__version__} cannot export open sizes; 2.6 and later can")
    open_size = torch.export.Dim.DYNAMIC
    sizes = {0: open_size, 2: open_size, 3: open_size}
    with quiet():
        try:
            return torch.export.export(
                part, (torch.rand(TRACED),), dynamic_shapes=(sizes,), strict=False
            )
        except Exception as error:  # whatever a third party's model and torch make of each other
            raise ExportError(f"torch.export does not take it: {one_line(error)}") from error


def write(
    program: torch.export.ExportedProgram, path: Path, metadata: Mapping[str, Any], names: list[str]
) -> None:
    """Write a file in the format that its suffix says.

    Args:
        program: What :func:`trace` gave.
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
                (torch.rand(TRACED),),
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


def one_line(error: BaseException) -> str:
    """The first line of an error's message, and its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # An exporter wraps what went wrong in what it was doing.
    if error.__cause__ is not None:
        return one_line(error.__cause__)
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


@contextmanager
def quiet() -> Iterator[None]:
    """Within, exporters say nothing of their own insides."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
