"""Write `configs/metafile.yml`, which OpenMMLab's tools read: every config and its cost."""

import argparse
from collections.abc import Iterator
from typing import Any

import yaml

from mmsmlp.model_zoo import BACKBONES, ROOT, TASKS, Recipe, recipes
from mmsmlp.model_zoo.cost import paper_cost
from mmsmlp.model_zoo.whole_models import model_cost

FILE = ROOT / "configs" / "metafile.yml"
HEAD = """\
# Written by `python tools/dev/metafile.py`. Parameters, and FLOPs (multiply-adds) of an image of
# 1280x800 (COCO), 2048x512 (ADE20K) or 224x224 (ImageNet-1K; S²-MLP without its classifier), are
# measured. There are no results and weights, because nobody has trained these configs yet.
"""
# By the type of the backbone: name, title of the paper, and its number at arXiv.
NETWORKS = {
    "mmsmlp.SMLPNet": (
        "sMLPNet",
        "Sparse MLP for Image Recognition: Is Self-Attention Really Necessary?",
        "2109.05422",
    ),
    "mmsmlp.CycleMLP": (
        "CycleMLP",
        "CycleMLP: A MLP-like Architecture for Dense Prediction",
        "2107.10224",
    ),
    "mmsmlp.S2MLPv2": (
        "S²-MLPv2",
        "S²-MLPv2: Improved Spatial-Shift MLP Architecture for Vision",
        "2108.01072",
    ),
    "mmsmlp.S2MLP": (
        "S²-MLP",
        "S²-MLP: Spatial-Shift MLP Architecture for Vision",
        "2106.07477",
    ),
}


def collections() -> Iterator[dict[str, Any]]:
    for name, title, number in NETWORKS.values():
        yield {
            "Name": name,
            "Metadata": {"Architecture": [name]},
            "Paper": {"URL": f"https://arxiv.org/abs/{number}", "Title": title},
        }


def model(recipe: Recipe) -> dict[str, Any]:
    backbone = BACKBONES[recipe.backbone]
    of_classifier = recipe.task == "classification"
    parameters, flops = paper_cost(backbone) if of_classifier else model_cost(recipe.name)
    network, file = NETWORKS[backbone["type"]][0], recipe.name.removeprefix("mmsmlp::")
    return {
        "Name": file.removesuffix(".py"),
        "In Collection": network,
        "Config": f"configs/{file}",
        "Metadata": {
            "Training Data": next(name for name in TASKS if name in recipe.schedule),
            "Architecture": [network, *([] if of_classifier else [recipe.method])],
            "Parameters": round(parameters * 1e6),
            "FLOPs": round(flops * 1e9),
        },
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    contents = {"Collections": list(collections()), "Models": list(map(model, recipes()))}
    text = yaml.safe_dump(contents, allow_unicode=True, sort_keys=False, width=100)
    FILE.write_text(HEAD + text)


if __name__ == "__main__":
    main()
