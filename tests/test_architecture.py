"""How the code is laid out: who imports whom, and how long a file may be."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mmsmlp"
MAX_LINES = 500
# Folders of which each sub-folder is a part by itself.
GROUPS = {"apis", "datasets", "engine", "models"}
# What each part of mmsmlp imports of the others: of those above it only, so there is no way back.
IMPORTS = {
    "ops": [],
    "__init__": ["ops"],
    "errors": [],
    "models.layers": [],
    "registry": [],
    "weights": [],
    "datasets.transforms": [],
    "models.necks": ["models.layers", "registry"],
    "checkpoints": ["errors", "registry", "weights"],
    "models.backbones": ["models.layers", "registry", "checkpoints"],
    "datasets.custom": ["errors"],
    "visualization": ["errors", "models.layers", "checkpoints"],
    "engine.optim": ["registry"],
    "engine.hooks": ["errors", "registry", "checkpoints", "visualization"],
    "model_zoo": ["errors", "datasets.custom", "registry", "weights"],
    "datasets.mini": ["model_zoo"],
    "engine.runner": [
        *["errors", "registry", "checkpoints", "datasets.custom"],
        *["model_zoo", "datasets.mini"],
    ],
    "deploy": [
        *["errors", "models.layers", "models.backbones", "checkpoints"],
        *["model_zoo", "engine.runner"],
    ],
    "apis.inference": ["errors", "checkpoints", "visualization", "engine.runner"],
    "apis.demo": [
        *["errors", "visualization"],
        *["datasets.mini", "engine.runner", "deploy", "apis.inference"],
    ],
    "swap": ["errors", "weights", "checkpoints", "engine.optim", "model_zoo", "apis.inference"],
    "__main__": ["model_zoo"],
}
# Former places of sub-packages.
MOVED = {"layers", "backbones", "augments", "catalogue"}
FILES = [path for folder in ("mmsmlp", "tools") for path in sorted((ROOT / folder).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def part_of(module: tuple[str, ...]) -> str:
    """The part of mmsmlp that a module belongs to, by its name without `mmsmlp`."""
    return ".".join(module[: 2 if module[0] in GROUPS else 1])


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


def files_of_parts() -> list[tuple[str, Path]]:
    """Every file of mmsmlp with its part."""
    modules = [
        (path.relative_to(PACKAGE).with_suffix("").parts, path)
        for path in FILES
        if path.is_relative_to(PACKAGE)
    ]
    groups = [(group, "__init__") for group in GROUPS]
    return [(part_of(name), path) for name, path in modules if name not in groups]


def imports_of_parts() -> dict[str, set[str]]:
    parts = {part for part, _ in files_of_parts()} - {"__init__"}
    found = defaultdict(set)
    for part, path in files_of_parts():
        for name in imported(path):
            root, *rest = name.split(".")
            if root == "mmsmlp" and rest and part_of(tuple(rest)) in parts - {part}:
                found[part].add(part_of(tuple(rest)))
    return found


def test_no_import_points_back() -> None:
    above: list[str] = []
    for part, others in IMPORTS.items():
        assert set(others) <= set(above), part
        above.append(part)


def test_each_part_imports_only_parts_above_it() -> None:
    parts = {part for part, _ in files_of_parts()}
    assert parts == IMPORTS.keys() | MOVED
    found = imports_of_parts()
    assert {part: found[part] for part in parts - MOVED} == {
        part: set(IMPORTS.get(part, [])) for part in parts - MOVED
    }


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_module_imports_another(path: Path) -> None:
    assert not [name for name in imported(path) if ".test_" in name]


def test_tests_mirror_the_package() -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in TESTS}
    others = {"fuzz", "tools"}
    mine = {folder for folder in folders if folder.parts and folder.parts[0] not in others}
    assert not [str(folder) for folder in mine if not (PACKAGE / folder).exists()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_not_named_like_its_contents(path: Path) -> None:
    """The name of a module would hide a function's, or the other way round, in its package."""
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    defined = {getattr(node, "name", None) for node in ast.parse(text).body}
    assert path.stem not in defined
