"""The index of models that OpenMMLab's tools read."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from metafile import collections, model

from mmsmlp.model_zoo import recipes

ROOT = Path(__file__).parents[3]
FORBIDDEN = {"Results", "Weights", "Converted From"}


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "configs" / "metafile.yml").read_text())


def rounded(metadata: dict[str, Any]) -> tuple[str, str]:
    return f"{metadata['Parameters'] / 1e6:.1f}M", f"{metadata['FLOPs'] / 1e9:.0f}G"


def test_parsers_of_openmmlab_read_it(written: dict) -> None:
    modelindex = pytest.importorskip("modelindex.load_model_index")
    index = modelindex.load(str(ROOT / "model-index.yml"))
    index.build_models_with_collections()
    assert not index.check(silent=True) and not index.check_errors
    assert [entry.name for entry in index.models] == [entry["Name"] for entry in written["Models"]]
    assert all((ROOT / entry.config).is_file() for entry in index.models)
    collection = {entry.name: entry.paper["URL"] for entry in index.collections}
    assert all(entry.in_collection in collection for entry in index.models)


def test_it_has_every_config_and_no_result(written: dict) -> None:
    files = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
    assert [entry["Name"] for entry in written["Models"]] == files
    assert not [entry["Name"] for entry in written["Models"] if FORBIDDEN & entry.keys()]
    assert written["Collections"] == list(collections())


def test_costs_of_complete_models_match_the_model_zoo(written: dict) -> None:
    table = re.findall(
        r"\]\(\.\./(configs/\w+\.py)\) \| (\S+M) \| (\S+G) \|",
        (ROOT / "docs" / "recipes.md").read_text(),
    )
    costs = {entry["Config"]: rounded(entry["Metadata"]) for entry in written["Models"]}
    assert len(table) == 60
    assert {config: cost for config, *cost in table} == {
        config: list(costs[config]) for config, *_ in table
    }


def test_classifiers_are_counted(written: dict) -> None:
    entries = {entry["Name"]: entry for entry in written["Models"]}
    ours = [recipe for recipe in recipes() if recipe.name.endswith("_in1k.py")]
    assert len(ours) == 14
    for recipe in ours:
        counted = model(recipe)
        assert entries[counted["Name"]] == counted
