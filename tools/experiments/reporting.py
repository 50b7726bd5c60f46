"""What an experiment found, put into the documentation."""

import json
from pathlib import Path
from types import ModuleType

from documents import renew_tables


def report(experiment: ModuleType, root: Path, docs: Path) -> str:
    """Write an experiment's figures, picture and tables into the documentation.

    Args:
        experiment: A module of this package with ``results``, ``tables`` and ``figure``.
        root: The experiment's folder.
        docs: The documentation, with a document of the experiment's name.

    Returns:
        The tables.
    """
    name = experiment.__name__.rpartition(".")[2]
    figures = experiment.results(root)
    for folder in ("experiments", "images"):
        (docs / folder).mkdir(exist_ok=True)
    (docs / f"experiments/{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    experiment.figure(figures, docs / f"images/{name}.png")
    tables = experiment.tables(figures)
    renew_tables(docs / f"{name}.md", *tables)
    return "\n".join(tables)
