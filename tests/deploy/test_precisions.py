"""Files that compute with fewer bits."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmsmlp.deploy import Exported, export
from mmsmlp.deploy.checking import TOLERANCES

pytest.importorskip("torch", minversion="2.6", reason="torch cannot export open sizes")
pytest.importorskip("nncf", reason="the extra `deploy` is not installed")

from tests.deploy.networks import loaded, random_network
from tests.helpers import sampled


class Export(NamedTuple):
    """A network and a file of it."""

    network: nn.Module
    file: Path


def images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 3, 64, side, generator=generator) for side in (64, 80, 96, 112)]


def exported(folder: Path, suffix: str, precision: str, name: str = "smlpnet") -> Export:
    network = random_network(name)
    path = folder / f"model{suffix}"
    export(loaded(network), Config(), path, precision, calibration=images)
    return Export(network, path)


@torch.no_grad()
def likeness(made: Export) -> list[float]:
    """Cosines of the angles between the maps of network and file, of images that it never saw."""
    image = torch.randn(2, 3, 70, 101, generator=torch.Generator().manual_seed(2))
    pairs = zip(Exported(made.file)(image)["features"], made.network(image), strict=True)
    return [float(torch.cosine_similarity(*map(torch.flatten, pair), dim=0)) for pair in pairs]


@pytest.mark.parametrize(
    ("suffix", "precision"),
    sampled([(".onnx", "fp16"), (".xml", "fp16"), (".xml", "bf16"), (".pt2", "bf16")], 4),
)
def test_halves_are_near(tmp_path: Path, suffix: str, precision: str) -> None:
    made = exported(tmp_path, suffix, precision, "s2mlp")  # the quickest to trace
    assert Exported(made.file).metadata["precision"] == precision
    assert min(likeness(made)) > 1 - TOLERANCES[precision] ** 2


def test_int8_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    made = exported(tmp_path, ".onnx", "int8")
    assert Exported(made.file).metadata["precision"] == "int8"
    assert min(likeness(made)) > 0.98
    graph = onnx.load(made.file).graph
    weights = [w for w in graph.initializer if w.data_type == onnx.TensorProto.INT8 and w.dims]
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    makers = {name: node.op_type for node in graph.node for name in node.output}
    assert {makers[node.input[1]] for node in convolutions} == {"DequantizeLinear"}
    assert max(len(weight.dims) for weight in weights) == 4


@pytest.mark.long
def test_int8_openvino(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    made = exported(tmp_path, ".xml", "int8")
    assert Exported(made.file).metadata["precision"] == "int8"
    assert min(likeness(made)) > 0.98
    operators = openvino.Core().read_model(made.file).get_ordered_ops()
    kinds = [operator.get_type_name() for operator in operators]
    assert kinds.count("FakeQuantize") > kinds.count("Convolution") > 0
    stored = [o.get_element_type() for o in operators if o.get_type_name() == "Constant"]
    assert openvino.Type.i8 in stored
