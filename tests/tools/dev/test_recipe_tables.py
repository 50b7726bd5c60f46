"""The table of recipes in the docs."""

import re
from pathlib import Path

import pytest
from recipe_tables import OURS, RECIPES, published

ROOT = Path(__file__).parents[3]


def test_results_are_those_of_the_libraries() -> None:
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    peers = RECIPES["mask_rcnn_{}"][1] | RECIPES["upernet_{}"][1]
    assert published("mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py") == "42.7 / 39.3"
    assert published(peers["Swin-T"]) == "44.41"
    assert published("mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py") == ""


def test_the_document_has_every_recipe_and_no_result_of_ours() -> None:
    lines = (ROOT / "docs" / "recipes.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    rows = [row for row in rows if len(row) == 5]  # not the table of overfitted photos
    ours = [row for row in rows if row[1].startswith("[")]
    linked = {re.search(r"configs/(.+)\)", row[1])[1] for row in ours}
    expected = {f"{stem.format(key)}.py" for stem in RECIPES for key in OURS}
    assert linked == expected and all((ROOT / "configs" / name).is_file() for name in linked)
    assert all(row[4] == "" for row in ours)
    peers = sum(len(peers) for _, peers in RECIPES.values())
    assert len(rows) == 2 + len(ours) + peers
