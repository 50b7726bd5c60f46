"""The documents that show tables which tools measure."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def renew_tables(document: Path, *tables: str, below: str = "") -> None:
    """Write tables over the first ones of a Markdown document, or of a heading, in their order."""
    text = document.read_text()
    start = text.index(below) + len(below)
    parts = re.split(r"(?m)((?:^\|.*\n)+)", text[start:])
    there = len(parts) // 2
    assert there >= len(tables), f"{document} has {there} tables, {len(tables)} must be written"
    parts[1 : 2 * len(tables) : 2] = tables
    document.write_text(text[:start] + "".join(parts))
