"""Draw what imports what, from the source: `docs/images/architecture.svg`.

A box is a folder or a file of the package, or the folder of tools. Arrows that follow from others
are left out.
"""

from __future__ import annotations

import argparse
import ast
import textwrap
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import matplotlib

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
WIDTH, HEIGHT, GAP, RISE = 2.1, 1.05, 0.3, 1.75  # of a box, between boxes, between rows
SCALE = 0.66  # inches
INK, FILL, LINE = "#1f2937", "#e8eefc", "#4b6cb7"

Graph = dict[str, set[str]]


def parts() -> dict[str, Path]:
    """The boxes by name: the packages and modules of `mmsmlp`, and `tools`."""
    package = ROOT / "mmsmlp"
    folders = [path.parent for path in package.glob("*/__init__.py")]
    modules = [path for path in package.glob("*.py") if not path.stem.startswith("__")]
    return {path.stem: path for path in sorted([*folders, *modules])} | {"tools": ROOT / "tools"}


def sources(part: Path) -> list[Path]:
    """The Python files of a part; of tools, those that users run."""
    if part.is_file():
        return [part]
    return sorted(path for path in part.rglob("*.py") if "dev" not in path.parts)


def imported(source: Path) -> Iterator[str]:
    """The full names that a file imports, anywhere in it."""
    package = source.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            origin = [*above, *([node.module] if node.module else [])]
            yield from (".".join([*origin, alias.name]) for alias in node.names)


def import_graph() -> Graph:
    """The parts that each part imports, without what follows from others."""
    boxes = parts()
    graph: Graph = {name: set() for name in boxes}
    for name, part in boxes.items():
        for source in sources(part):
            heads = [full.split(".")[1:2] for full in imported(source) if "mmsmlp." in full]
            graph[name] |= {head[0] for head in heads if head and head[0] in boxes} - {name}
    reach: Graph = {}
    for name in TopologicalSorter(graph).static_order():  # raises where imports go in a circle
        reach[name] = graph[name].union(*(reach[other] for other in graph[name]))
    return {
        name: {other for other in found if not any(other in reach[third] for third in found)}
        for name, found in graph.items()
    }


def written(graph: Graph) -> str:
    """The graph in words; the picture carries it, so that a test can tell whether it is current."""
    return "; ".join(f"{name}: {', '.join(sorted(graph[name]))}" for name in sorted(graph))


def rows_of(graph: Graph) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of boxes from the bottom, and the course of each arrow through the rows.

    An arrow that passes a row has a place of its own there, so that it crosses no box.
    """
    level: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        level[name] = max((level[other] + 1 for other in graph[name]), default=0)
    rows: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
    for name in sorted(graph):
        rows[level[name]].append(name)
    courses = []
    for name in sorted(graph):
        for other in sorted(graph[name]):
            between = [f"{name}>{other}@{row}" for row in range(level[name] - 1, level[other], -1)]
            for row, place in zip(range(level[name] - 1, level[other], -1), between, strict=True):
                rows[row].append(place)
            courses.append([name, *between, other])
    return rows, courses


def arranged(rows: list[list[str]], courses: list[list[str]]) -> dict[str, float]:
    """The place of each name in its row, near to what it is linked with."""
    links: Graph = {}
    for course in courses:
        for upper, lower in pairwise(course):
            links.setdefault(upper, set()).add(lower)
            links.setdefault(lower, set()).add(upper)
    place: dict[str, float] = {}
    for row in rows:
        place.update(spread(row))
    for sweep in range(40):
        for row in rows if sweep % 2 else reversed(rows):

            def wanted(name: str) -> float:
                near = [place[other] for other in links.get(name, ())]
                return sum(near) / len(near) if near else place[name]

            row.sort(key=wanted)
            place.update(spread(row))
    return place


def spread(row: list[str]) -> dict[str, float]:
    """Places side by side, in the middle of the picture; an arrow takes less room than a box."""
    widths = [GAP if "@" in name else WIDTH for name in row]
    left = -(sum(widths) + GAP * (len(row) - 1)) / 2
    places = {}
    for name, width in zip(row, widths, strict=True):
        places[name] = left + width / 2
        left += width + GAP
    return places


def draw(graph: Graph, path: Path) -> None:
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "mmsmlp", "font.size": 8, "text.color": INK})
    from matplotlib import pyplot as plt
    from matplotlib.patches import FancyBboxPatch

    rows, courses = rows_of(graph)
    x = arranged(rows, courses)
    y = {name: RISE * number for number, row in enumerate(rows) for name in row}
    half = max(map(abs, x.values())) + WIDTH / 2 + GAP
    top = RISE * (len(rows) - 1) + HEIGHT / 2 + GAP
    figure = plt.figure(figsize=(2 * half * SCALE, (top + HEIGHT / 2 + GAP) * SCALE))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-half, half), ylim=(-HEIGHT / 2 - GAP, top), aspect="equal")
    axes.axis("off")
    for course in courses:
        # From above to below each row that it passes; from a box, and to one.
        sides = [(x[name], y[name] + side) for name in course for side in (HEIGHT / 2, -HEIGHT / 2)]
        points = sides[1:-1]
        axes.plot(*zip(*points[:-1], strict=True), color=LINE, linewidth=1)
        arrow = dict(arrowstyle="-|>", color=LINE, shrinkA=0, shrinkB=0)
        axes.annotate("", points[-1], points[-2], arrowprops=arrow)
    for name, part in parts().items():
        corner = (x[name] - WIDTH / 2, y[name] - HEIGHT / 2)
        style = dict(boxstyle="round,pad=0,rounding_size=0.08", facecolor=FILL, edgecolor=LINE)
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, **style))
        axes.text(x[name], y[name] + 0.27, name, ha="center", va="center", weight="bold")
        text = textwrap.fill(summary(part), 28, max_lines=3, placeholder=" …")
        axes.text(x[name], y[name] - 0.13, text, ha="center", va="center", fontsize=6)
    figure.savefig(path, metadata={"Date": None, "Description": written(graph)})
    plt.close(figure)


def summary(part: Path) -> str:
    """The first line of a part's docstring, but for where it registers things."""
    source = part / "__init__.py" if part.is_dir() else part
    docstring = ast.get_docstring(ast.parse(source.read_text())) if source.exists() else None
    line = (docstring or "What users run.").splitlines()[0].replace("`", "")
    return line.partition(", registered in")[0].rstrip(".")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    draw(import_graph(), PICTURE)


if __name__ == "__main__":
    main()
