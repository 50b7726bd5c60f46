"""The notebook: kept without outputs, and run from top to bottom."""

import ast
import importlib
import os
import re
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "demo" / "tutorial.ipynb"


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_every_cell_is_python_whose_imports_exist() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    trees = [
        ast.parse(re.sub(r"^[%!].*$", "pass", cell.source, flags=re.MULTILINE))
        for cell in cells
        if cell.cell_type == "code" and not cell.source.startswith("%%")
    ]
    found = 0
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("mmsmlp"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)
            found += 1
    assert found


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("mmdet", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    # In tests, ipykernel would leave what other processes print to them.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    # Its settings and its history are nobody's.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = dict(metadata=dict(path=str(tmp_path)))
    nbclient.NotebookClient(notebook, timeout=1700, resources=resources).execute()

    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    printed = [
        "".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream")
        for cell in cells
    ]
    pictures = [output for cell in cells for output in cell.outputs if "data" in output]
    assert [set(picture.data) for picture in pictures] == [{"image/png", "text/plain"}] * 3
    text = next(text for text in printed if "(128" in text)
    resolutions = [line for line in text.splitlines() if line.startswith("(")]
    assert [line.partition(",")[0] for line in resolutions] == ["(128", "(256"]
    assert "(1, 640, 7, 7)" in printed[-1] and "(1, 640, 4, 5)" in printed[-1]
    for name in ("mine.py", "field.png", "backbone.onnx"):
        assert (tmp_path / name).is_file()
