"""The picture of what imports what."""

import re
from html import unescape
from pathlib import Path

import architecture
import pytest

SOURCES = {
    "mmsmlp/layers/__init__.py": '"""Plain `torch`."""',
    "mmsmlp/layers/norm.py": "import torch\nfrom . import mlp",
    "mmsmlp/backbones/__init__.py": '"""Nets, registered in ``MODELS``."""\nfrom .net import Net',
    "mmsmlp/backbones/net.py": "def build():\n    from mmsmlp.layers import norm",
    "mmsmlp/launch.py": "import mmsmlp.backbones.net",
    "tools/train.py": "from mmsmlp import launch\nfrom mmsmlp.layers.norm import x",
    "tools/dev/other.py": "import mmsmlp.catalogue",
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(architecture, "ROOT", tmp_path)
    return tmp_path


def test_the_picture_in_the_docs_is_that_of_the_code() -> None:
    written = re.search("<dc:description>(.*?)</dc:description>", architecture.PICTURE.read_text())
    assert written, "no description"
    assert unescape(written[1]) == architecture.written(architecture.import_graph())


def test_names_are_full_whatever_the_import_looks_like(repository: Path) -> None:
    source = repository / "mmsmlp" / "backbones" / "net.py"
    source.write_text(
        "import mmsmlp.b.c\ndef f():\n    from ..d import e\n    from . import g\nfrom x import y"
    )
    names = ["mmsmlp.b.c", "x.y", "mmsmlp.d.e", "mmsmlp.backbones.g"]
    assert list(architecture.imported(source)) == names


def test_imports_are_found_wherever_they_are_and_drawn_once(repository: Path) -> None:
    # tools imports layers as well, which follows from the others.
    words = "backbones: layers; launch: backbones; layers: ; tools: launch"
    assert architecture.written(architecture.import_graph()) == words


def test_an_import_that_points_back_is_an_error(repository: Path) -> None:
    (repository / "mmsmlp/layers/norm.py").write_text("from ..launch import run")
    with pytest.raises(ValueError, match="cycle"):
        architecture.import_graph()


def test_arrows_cross_no_box() -> None:
    rows, courses = architecture.rows_of({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    assert rows == [["c"], ["b", "a>c@1"], ["a"]]
    assert ["a", "a>c@1", "c"] in courses


def test_a_box_says_what_its_docstring_says(repository: Path) -> None:
    boxes = architecture.parts()
    assert architecture.summary(boxes["backbones"]) == "Nets"
    assert architecture.summary(boxes["layers"]) == "Plain torch"
