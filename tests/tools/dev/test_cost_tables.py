"""What the docs say of cost."""

import shutil
from pathlib import Path

import pytest
from benchmarks.charts import draw_charts
from cost_tables import SHOWN_CHARTS, read_references, write_tables
from documents import DOCS


def test_the_tables_in_the_docs_match_counts_and_measurements(tmp_path: Path) -> None:
    pytest.importorskip("mmdet")
    documents = ("cost.md", "many_machines.md")
    for name in documents:
        shutil.copy(DOCS / name, tmp_path)
    write_tables(read_references(), tmp_path)
    for name in documents:
        assert (tmp_path / name).read_text() == (DOCS / name).read_text()


def test_the_pictures_of_the_docs_can_be_drawn_again(tmp_path: Path) -> None:
    written = draw_charts(read_references()["cpu"], "cpu", tmp_path, only=SHOWN_CHARTS)
    text = (DOCS / "cost.md").read_text()
    assert {path.name for path in written} == set(SHOWN_CHARTS)
    assert all(f"(images/{name})" in text for name in SHOWN_CHARTS)
