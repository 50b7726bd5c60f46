"""Exported files against the networks that they are of, in the runtimes."""

import re
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmsmlp.deploy import Exported, export
from mmsmlp.deploy.checking import Difference, largest_difference
from mmsmlp.errors import ExportError
from tests.deploy.networks import NETWORKS, loaded, random_network
from tests.helpers import sampled

pytest.importorskip("onnxscript", reason="the extra `deploy` is not installed")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

# Below the native size, odd, at it, above on one axis or both; batch.
SIZES = [(32, 32, 1), (97, 61, 1), (96, 96, 2), (160, 213, 1), (64, 224, 3)]


class Export(NamedTuple):
    """A network, a file of it and how much they differ."""

    network: nn.Module
    file: Path
    largest: float


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Export]:
    """Exports a network to a format, once for all tests."""

    @cache
    def exported(name: str, suffix: str) -> Export:
        network, path = random_network(name), tmp_path_factory.mktemp(name) / f"model{suffix}"
        return Export(network, path, export(loaded(network), Config(dict(a=1)), path).largest)

    return exported


# Each network and each format, and the other pairs in the long tests.
@pytest.mark.parametrize(
    ("name", "suffix"), sampled(product(NETWORKS, (".onnx", ".xml", ".pt2")), 4)
)
def test_one_file_is_the_network_at_every_size(exported: Callable, name: str, suffix: str) -> None:
    network, path, largest = exported(name, suffix)
    assert largest < 1e-4
    file = Exported(path)
    for height, width, batch in SIZES:
        image = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            expected = network(image)
        found = file(image)["features"]
        assert [y.shape for y in found] == [y.shape for y in expected]
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
    assert file.metadata["classes"] == ["a", "b"]
    assert file.metadata["palette"] == [[1, 2, 3], [4, 5, 6]]
    assert file.metadata["kind"] == "backbone"


def test_onnx_has_norms_and_activations_as_operators(exported: Callable) -> None:
    onnx = pytest.importorskip("onnx")
    file = exported("smlpnet", ".onnx").file
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    blocks = 1 + 1 + 1
    assert kinds.count("LayerNormalization") == blocks
    assert kinds.count("Gelu") == 3 * blocks
    assert not {"BatchNormalization", "Erf", "If", "Loop"} & set(kinds)


@pytest.mark.parametrize(
    ("name", "precision", "message"),
    [
        ("model.pth", "fp32", "the file must end in .onnx, .xml, .pt2, got"),
        ("model.onnx", "bf16", "onnx comes in fp32, fp16, int8, not in bf16"),
    ],
)
def test_an_unwritable_file_is_named(
    tmp_path: Path, name: str, precision: str, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export(loaded(random_network("s2mlp")), Config(dict()), tmp_path / name, precision)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "model.onnx"
    with pytest.raises(ExportError, match=r"cannot write into '.*file': (File exists|Not a dir)"):
        export(loaded(random_network("s2mlp")), Config(dict()), out)


def test_a_file_that_differs_from_the_model_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_network("s2mlp")
    monkeypatch.setattr(
        "mmsmlp.deploy.exporting.largest_difference", lambda *_: Difference(0.5, [])
    )
    with pytest.raises(ExportError, match=r"differs from the model by 0.5 of the largest value"):
        export(loaded(network), Config(dict()), tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt2"])
def test_a_file_of_something_else_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    with pytest.raises(ExportError, match=r"there is no file"):
        Exported(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ExportError, match=re.escape(path.name)):
        Exported(path)


class Halving(nn.Module):
    """Takes even sizes only."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        if image.shape[2] % 2:
            raise RuntimeError("maps do not fit together")
        return [image[:, :, ::2]]


class File:
    """What stands for an exported file."""

    def __init__(self, error: float = 0.0, step: int = 2) -> None:
        self.error, self.step = error, step

    def tensors(self, image: torch.Tensor) -> list[torch.Tensor]:
        if self.step > 2:
            raise ValueError("no such operator")
        y = image[:, :, :: self.step].clone()
        y[-1, -1, -1, -1] += self.error * y.abs().max()
        return [y]


def test_a_comparison_finds_the_largest_difference() -> None:
    sizes = [(32, 32), (97, 61), (64, 20)]
    largest, refused = largest_difference(Halving(), File(0.25), sizes)
    assert largest == pytest.approx(0.25, rel=1e-3) and refused == ["97x61"]
    assert largest_difference(Halving(), File(), sizes) == (0, ["97x61"])
    with pytest.raises(ExportError, match="the model takes no image of 97x61, 33x32"):
        largest_difference(Halving(), File(), [(97, 61), (33, 32)])
    with pytest.raises(ExportError, match=r"with 1 of 32x32, the file gives \(1, 3, 32, 32\), not"):
        largest_difference(Halving(), File(step=1), sizes)
    with pytest.raises(ExportError, match="does not run with 1 of 32x32: ValueError: no such op"):
        largest_difference(Halving(), File(step=3), sizes)
