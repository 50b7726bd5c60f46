"""The table of recipes in the docs."""

import re
from pathlib import Path

import pytest
from recipe_tables import PAPER, RECIPES, ours, published

ROOT = Path(__file__).parents[3]


def test_results_are_those_of_the_libraries() -> None:
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    peers = RECIPES["mask_rcnn_{}"][1] | RECIPES["upernet_{}"][1]
    assert published("mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py") == "42.7 / 39.3"
    assert published(peers["Swin-T"]) == "44.41"
    assert published("mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py") == ""


def test_the_document_has_every_recipe_and_none_of_our_results() -> None:
    lines = (ROOT / "docs" / "recipes.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    rows = [row for row in rows if len(row) == 6]  # not the table of overfitted photos
    own = [row for row in rows if row[1].startswith("[")]
    linked = [re.search(r"configs/(.+)\.py\)", row[1])[1] for row in own]
    assert set(linked) == {stem.format(key) for stem in RECIPES for key in ours(stem)}
    assert all((ROOT / "configs" / f"{name}.py").is_file() for name in linked)
    # Of these, what the paper prints is all that there is.
    assert all(row[4] == "" for row in own)
    assert {name: row[5] for name, row in zip(linked, own, strict=True) if row[5]} == PAPER
    peers = sum(len(peers) for _, peers in RECIPES.values())
    assert len(rows) == 2 + len(own) + peers
