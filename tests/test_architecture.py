"""How the code is laid out: who imports whom, and how long a file may be."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Last, for a script's name shall not hide a module's.
sys.path.append(str(ROOT / "tools/dev"))

from architecture import imported  # noqa: E402

PACKAGE = ROOT / "mmsmlp"
MAX_LINES = 320
# What each part of mmsmlp imports of the others: of those above it only, so there is no way back.
IMPORTS = {
    "errors": [],
    "layers": [],
    "registry": [],
    "augments": [],
    "necks": ["layers", "registry"],
    "checkpoints": ["layers", "registry"],
    "backbones": ["layers", "registry", "checkpoints"],
    "own_data": ["checkpoints"],
    "pictures": ["layers", "checkpoints"],
    "optim": ["registry"],
    "hooks": ["errors", "registry", "checkpoints", "pictures"],
    "catalogue": ["registry"],
    "mini": ["catalogue"],
    "swap": ["optim", "catalogue"],
    "launch": ["errors", "checkpoints", "catalogue", "mini"],
    "export": ["layers", "backbones", "checkpoints", "catalogue", "launch"],
    "inference": ["checkpoints", "export", "launch"],
    "demo": ["layers", "checkpoints", "pictures", "own_data", "mini", "launch", "export"],
    "__main__": ["catalogue"],
}
# Of everything: what a config in pure Python, or mmengine, imports first.
IMPORT_NOTHING = {"__init__", "configs"}
FILES = [path for folder in ("mmsmlp", "tools") for path in sorted((ROOT / folder).rglob("*.py"))]


def part_of(path: Path) -> str:
    """The package or module of mmsmlp that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of_parts() -> dict[str, set[str]]:
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    found = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for name in imported(path):
            root, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if root == "mmsmlp" and other in parts and other != part_of(path):
                found[part_of(path)].add(other)
    return found


def test_no_import_points_back() -> None:
    above: list[str] = []
    for part, others in IMPORTS.items():
        assert set(others) <= set(above), part
        above.append(part)


def test_each_part_imports_what_the_table_says() -> None:
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")}
    assert parts == IMPORTS.keys() | IMPORT_NOTHING
    found = imports_of_parts()
    assert {part: found[part] for part in parts} == {
        part: set(IMPORTS.get(part, [])) for part in parts
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_not_called_like_what_is_in_it(path: Path) -> None:
    """The name of a module would hide a function's, or the other way round, in its package."""
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    defined = {getattr(node, "name", None) for node in ast.parse(text).body}
    assert path.stem not in defined
