"""Tables in Markdown documents."""

from pathlib import Path

import pytest
from documents import renew_tables

from mmsmlp.engine.runner import markdown_table


def test_a_table_has_a_head_and_a_row_each() -> None:
    assert markdown_table([["a", "b"], ["1", ""]]) == "| a | b |\n| --- | --- |\n| 1 |  |\n"


def test_tables_are_renewed_in_order_and_the_rest_stays(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    old = [markdown_table([[name], [name * 2]]) for name in "abc"]
    document.write_text(f"# T\n\n{old[0]}\nbetween a | b\n\n{old[1]}\n{old[2]}end\n")
    new = [markdown_table([[name], [r"\1"], ["x"]]) for name in "de"]
    renew_tables(document, *new)
    assert document.read_text() == f"# T\n\n{new[0]}\nbetween a | b\n\n{new[1]}\n{old[2]}end\n"
    with pytest.raises(AssertionError, match="has 3 tables, 4 must be written"):
        renew_tables(document, *new, *new)


def test_tables_below_a_heading_are_renewed(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    old, other, new = (markdown_table([[name], [name * 2]]) for name in "abc")
    document.write_text(f"# T\n\n{old}\n## Mine\n\nwords\n\n{old}\n{other}")
    renew_tables(document, new, below="## Mine\n")
    assert document.read_text() == f"# T\n\n{old}\n## Mine\n\nwords\n\n{new}\n{other}"
    with pytest.raises(ValueError):
        renew_tables(document, new, below="## Yours\n")
