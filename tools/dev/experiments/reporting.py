"""Writing an experiment's results into the documentation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from documents import renew_tables


def report(
    experiment: ModuleType, root: Path, docs: Path, networks: Sequence[str] | None = None
) -> str:
    """Write an experiment's figures, picture and tables into the documentation.

    Args:
        experiment: A module of this package with ``results``, ``tables`` and ``figure``.
        root: The experiment's folder.
        docs: The documentation, with a document of the experiment's name.
        networks: Those that were run, if not all: the others keep their figures.

    Returns:
        The tables.
    """
    name = experiment.__name__.rpartition(".")[2]
    for folder in ("experiments", "images"):
        (docs / folder).mkdir(exist_ok=True)
    path = docs / f"experiments/{name}.json"
    if networks:
        figures = json.loads(path.read_text()) | experiment.results(root, networks)
    else:
        figures = experiment.results(root)
    path.write_text(json.dumps(figures, indent=1) + "\n")
    experiment.figure(figures, docs / f"images/{name}.png")
    tables = experiment.tables(figures)
    renew_tables(docs / f"{name}.md", *tables)
    return "\n".join(tables)
