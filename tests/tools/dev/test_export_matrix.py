"""The export of models that mmdet and mmseg ship."""

import pytest
from export_matrix import DENSE, DOCUMENT, HEADING, NAMES, check

from mmsmlp.errors import ExportError


def documented() -> dict[str, str]:
    """The cells of the table in the docs."""
    text = DOCUMENT.read_text().partition(HEADING)[2].partition("\n## ")[0]
    rows = [line.strip("| \n").split(" | ") for line in text.splitlines() if "::" in line]
    return {name.strip("`"): cell for name, cell in rows}


# From all over the list: each takes ten seconds or more. The tool itself goes through all.
@pytest.mark.long
@pytest.mark.parametrize("name", NAMES[3::9])
def test_a_model_is_exported_as_the_docs_say(name: str) -> None:
    pytest.importorskip("torch", minversion="2.6", reason="torch cannot export open sizes")
    pytest.importorskip("onnxscript", reason="the extra `deploy` is not installed")
    pytest.importorskip("onnxruntime")
    pytest.importorskip(name.partition("::")[0])
    expected = documented()[name]
    if expected.startswith("✔"):
        assert (check(name) or "✔") == expected
    else:
        with pytest.raises(ExportError) as error:
            check(name)
        assert str(error.value) == expected


def test_three_of_four_work() -> None:
    cells = documented()
    assert list(cells) == NAMES
    for library, least in (("mmseg", 20), ("mmdet", len(DENSE))):
        found = [cell for name, cell in cells.items() if name.startswith(library)]
        assert len(found) >= least
        assert sum(cell.startswith("✔") for cell in found) >= 0.75 * len(found)
