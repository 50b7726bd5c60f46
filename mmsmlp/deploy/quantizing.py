"""Files in int8, calibrated on images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from .exporters import library, quiet
from .writing import KEY, SUFFIXES, save_openvino


def quantize(path: Path, images: Sequence[Tensor]) -> None:
    """Quantize a file of ONNX or OpenVINO, in place.

    Args:
        path: The file.
        images: As the model gets them, each ``(N, 3, H, W)``.
    """
    nncf = library("nncf")
    inputs = [image.numpy() for image in images]
    # By default, inputs of depthwise convolutions have a scale for each entry of their second axis.
    # Where tokens become maps that is the one before the transposition: rows, of which images have
    # any number.
    whole = library("nncf.quantization.advanced_parameters").QuantizationParameters(
        per_channel=False
    )
    options = dict(
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_quantization_params=whole
        ),
    )
    with quiet():
        if path.suffix == SUFFIXES["openvino"]:
            core = library("openvino").Core()
            # Files that are mapped into memory cannot be replaced.
            core.set_property({"ENABLE_MMAP": False})
            model = core.read_model(path)
            metadata = model.get_rt_info([KEY]).astype(str)
            quantized = nncf.quantize(model, nncf.Dataset(inputs), **options)
            save_openvino(quantized, path, metadata, json.loads(metadata)["precision"])
        else:
            onnx = library("onnx")
            dataset = nncf.Dataset([{"image": image} for image in inputs])
            onnx.save(nncf.quantize(onnx.load(path), dataset, **options), path)
