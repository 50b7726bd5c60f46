"""Tables in Markdown, as some tools print them."""

from collections.abc import Sequence


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a table, with its end."""
    return f"| {' | '.join(cells)} |\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A table; the first row is its head."""
    head, *body = rows
    return "".join(map(markdown_row, [head, ["---"] * len(head), *body]))
