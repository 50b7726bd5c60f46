"""Tables that tools measure, and the documents that show them."""

import re
from collections.abc import Sequence
from pathlib import Path


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a table, with its end."""
    return f"| {' | '.join(cells)} |\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its head."""
    head, *body = rows
    return "".join(map(markdown_row, [head, ["---"] * len(head), *body]))


def renew_tables(document: Path, *tables: str) -> None:
    """Write tables over the first ones of a Markdown document, in their order."""
    parts = re.split(r"(?m)((?:^\|.*\n)+)", document.read_text())
    there = len(parts) // 2
    assert there >= len(tables), f"{document} has {there} tables, {len(tables)} are to be written"
    parts[1 : 2 * len(tables) : 2] = tables
    document.write_text("".join(parts))
