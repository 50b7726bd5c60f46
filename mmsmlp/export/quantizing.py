"""Files in int8, calibrated on images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from .errors import library, quiet
from .writing import KEY, SUFFIXES, save_openvino


def quantize(path: Path, images: Sequence[Tensor]) -> None:
    """Quantize a file of ONNX or OpenVINO, in place.

    Args:
        path: The file.
        images: As the model gets them, each ``(N, 3, H, W)``.
    """
    nncf = library("nncf")
    inputs = [image.numpy() for image in images]
    options = dict(subset_size=len(inputs), preset=nncf.QuantizationPreset.MIXED)
    with quiet():
        if path.suffix == SUFFIXES["openvino"]:
            core = library("openvino").Core()
            model = core.read_model(path)
            metadata = model.get_rt_info([KEY]).astype(str)
            quantized = nncf.quantize(model, nncf.Dataset(inputs), **options)
            # The file that is being replaced is mapped into memory.
            del model
            save_openvino(quantized, path, metadata, json.loads(metadata)["precision"])
        else:
            onnx = library("onnx")
            dataset = nncf.Dataset([{"image": image} for image in inputs])
            onnx.save(nncf.quantize(onnx.load(path), dataset, **options), path)
