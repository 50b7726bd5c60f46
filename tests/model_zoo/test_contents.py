"""What the package brings along, by name."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsmlp.model_zoo import BACKBONES, ROOT, Recipe, chosen, config_path, filters, recipes
from mmsmlp.models.backbones import S2MLP, CycleMLP, S2MLPv2, SMLPNet
from mmsmlp.weights import WEIGHTS

SCOPES = dict(mmdet="detection", mmseg="segmentation", mmpretrain="classification")


def test_every_variant_of_every_backbone_has_a_name() -> None:
    named = [(cfg["type"], cfg["arch"]) for cfg in BACKBONES.values()]
    expected = {
        (f"mmsmlp.{network.__name__}", arch)
        for network in (SMLPNet, CycleMLP, S2MLPv2, S2MLP)
        for arch in network.variants
    }
    assert len(named) == len(set(named)) and set(named) == expected


def test_every_config_is_there_once() -> None:
    files = sorted(path.name for path in (ROOT / "configs").glob("*.py"))
    assert [recipe.name for recipe in recipes()] == [f"mmsmlp::{name}" for name in files]


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_descriptions_match_the_configs(recipe: Recipe) -> None:
    path = config_path(recipe.name)
    for library in re.findall(r'"(mm\w+)::', path.read_text()):
        pytest.importorskip(library)
    cfg = Config.fromfile(path)
    assert SCOPES[cfg.default_scope] == recipe.task
    expected = BACKBONES[recipe.backbone]
    assert (cfg.model.backbone.type, cfg.model.backbone.arch) == (
        expected["type"],
        expected["arch"],
    )
    length, unit, batch = re.search(
        r"([\d,]+) (epoch|iter)\w+, batch (\d+)", recipe.schedule
    ).groups()
    # Some schedules of mmdet count the 50 epochs of a batch of 16 in iterations.
    if f"max_{unit}s" in cfg.train_cfg:
        assert cfg.train_cfg[f"max_{unit}s"] == int(length.replace(",", ""))
    else:
        images = cfg.train_cfg.max_iters * int(batch)
        assert images == pytest.approx(int(length) * 118_000, rel=0.01)
    assert cfg.auto_scale_lr.base_batch_size == int(batch)
    assert recipe.method and (recipe.method == "classifier") == (recipe.task == "classification")


@pytest.mark.parametrize(
    ("wanted", "task", "backbones", "configs"),
    [
        ("", None, 15, len(recipes())),
        ("smlpnet_t", None, 1, 9),
        ("SMLPNet", "segmentation", 3, 11),
        ("s2mlp", None, 2, 3),
        ("s2mlpv2_s14", None, 1, 0),
        ("upernet", None, 6, 6),
        ("", "classification", 14, 14),
        ("s2mlp", "segmentation", 0, 0),
        ("s2ml", None, 0, 0),
    ],
)
def test_a_filter_keeps_entries_with_its_words(
    wanted: str, task: str | None, backbones: int, configs: int
) -> None:
    names, found = chosen(wanted, task)
    assert (len(names), len(found)) == (backbones, configs)
    assert {recipe.backbone for recipe in found} <= set(names)


@pytest.mark.parametrize("task", [None, *SCOPES.values()])
def test_every_filter_that_is_offered_finds_something(task: str | None) -> None:
    assert len(set(filters(task))) == len(filters(task)) > 5
    assert all(chosen(wanted, task)[0] for wanted in filters(task))


def test_weights_are_those_of_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "weights.md").read_text()
    row = r"^\| `(\w+_in1k)` \| `(\w+)` \| ([\d.]+) \| (\w+) \| \[.*\]\((.*)\) \|$"
    rows = re.findall(row, text, re.MULTILINE)
    assert rows == [(w.name, w.backbone, w.top1, w.licence, w.url) for w in WEIGHTS.values()]
