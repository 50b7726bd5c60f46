"""The table of recipes: against the forward pass of whole models, and against what others count."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recipes() -> ModuleType:
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    path = ROOT / "tools" / "recipes.py"
    spec = importlib.util.spec_from_file_location("tool_recipes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["retinanet_smlpnet_t.py", "semantic_fpn_s2mlpv2_s4.py"])
def test_parts_cost_what_the_whole_does(
    recipes: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = Config.fromfile(ROOT / "configs" / name)
    monkeypatch.setitem(recipes.SIZES, cfg.default_scope, (64, 96))
    model = recipes.build(cfg)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 64, 96), mode="tensor")
    parameters, flops = recipes.cost(f"mmsmlp::{name}")
    assert flops == counter.get_total_flops() / 2e9 > 0.1
    assert parameters == sum(parameter.numel() for parameter in model.parameters()) / 1e6


def test_peers_cost_what_their_papers_say(recipes: ModuleType) -> None:
    """48M and 267G for Mask R-CNN on Swin-T, 86M and 741G for Cascade on ConvNeXt-T."""
    for recipe, peer, expected in [
        ("mask_rcnn_{}", "Swin-T", (48, 267)),
        ("cascade_mask_rcnn_{}_3x", "ConvNeXt-T", (86, 741)),
    ]:
        parameters, flops = recipes.cost(recipes.RECIPES[recipe][1][peer])
        assert parameters == pytest.approx(expected[0], abs=0.5)
        assert flops == pytest.approx(expected[1], abs=1.5)


def test_results_are_those_of_the_libraries(recipes: ModuleType) -> None:
    peers = recipes.RECIPES["mask_rcnn_{}"][1] | recipes.RECIPES["upernet_{}"][1]
    assert recipes.published("mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py") == "42.7 / 39.3"
    assert recipes.published(peers["Swin-T"]) == "44.41"
    assert recipes.published("mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py") == ""


def test_the_document_has_every_recipe_and_no_result_of_ours(recipes: ModuleType) -> None:
    lines = (ROOT / "docs" / "recipes.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    ours = [row for row in rows if row[1].startswith("[")]
    linked = {re.search(r"configs/(.+)\)", row[1])[1] for row in ours}
    expected = {f"{stem.format(key)}.py" for stem in recipes.RECIPES for key in recipes.OURS}
    assert linked == expected and all((ROOT / "configs" / name).is_file() for name in linked)
    assert all(row[4] == "" for row in ours)
    peers = sum(len(peers) for _, peers in recipes.RECIPES.values())
    assert len(rows) == 2 + len(ours) + peers
