"""Parameters and multiply-adds of the full recipes beside those of mmdet's and mmseg's networks."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from documents import DOCS, renew_tables
from mmengine.fileio import load

from mmsmlp.engine.runner import markdown_row, markdown_table
from mmsmlp.model_zoo import config_path
from mmsmlp.model_zoo.whole_models import model_cost

DOCUMENT = DOCS / "recipes.md"

OURS = {
    "smlpnet_t": "sMLPNet-T",
    "smlpnet_s": "sMLPNet-S",
    "smlpnet_b": "sMLPNet-B",
    "s2mlpv2_s4": "S²-MLPv2-Small/4",
    "s2mlpv2_m4": "S²-MLPv2-Medium/4",
}
CYCLEMLP_B2 = {"cyclemlp_b2": "CycleMLP-B2"}
# Those that have weights of their authors, in the setting in which CycleMLP's paper reports.
PVT = {
    "cyclemlp_b1": "CycleMLP-B1",
    **CYCLEMLP_B2,
    "cyclemlp_b3": "CycleMLP-B3",
    "smlpnet_s": "sMLPNet-S",
    "smlpnet_b": "sMLPNet-B",
}
_160K = "8xb2-160k_ade20k-512x512.py"
_LSJ = "8xb2-lsj-50e_coco.py"
# By the names of our configs: the recipe, and its peers in mmdet and mmseg.
RECIPES = {
    "mask_rcnn_{}": (
        "Mask R-CNN 1x",
        {
            "ResNet-50": "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
            "Swin-T": "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py",
        },
    ),
    "mask_rcnn_{}_pvt": ("Mask R-CNN 1x, PVT's setting", {}),
    "mask_rcnn_{}_3x": (
        "Mask R-CNN 3x",
        {
            "ResNet-50": "mmdet::mask_rcnn/mask-rcnn_r50_fpn_ms-poly-3x_coco.py",
            "Swin-T": "mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py",
            "ConvNeXt-T": "mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py",
        },
    ),
    "cascade_mask_rcnn_{}_3x": (
        "Cascade Mask R-CNN 3x",
        {
            "ResNet-50": "mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_ms-3x_coco.py",
            "ConvNeXt-T": "mmdet::convnext/cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_"
            "amp-ms-crop-3x_coco.py",
        },
    ),
    "retinanet_{}": (
        "RetinaNet 1x",
        {
            "ResNet-50": "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
            "Swin-T": "mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py",
        },
    ),
    "retinanet_{}_pvt": (
        "RetinaNet 1x, PVT's setting",
        {"PVT-Small": "mmdet::pvt/retinanet_pvt-s_fpn_1x_coco.py"},
    ),
    "mask2former_coco_{}": (
        "Mask2Former, COCO",
        {
            "ResNet-50": f"mmdet::mask2former/mask2former_r50_{_LSJ}",
            "Swin-T": f"mmdet::mask2former/mask2former_swin-t-p4-w7-224_{_LSJ}",
        },
    ),
    "upernet_{}": (
        "UperNet",
        {
            "ResNet-50": "mmseg::upernet/upernet_r50_4xb4-160k_ade20k-512x512.py",
            "Swin-T": f"mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_{_160K}",
            "ConvNeXt-T": "mmseg::convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py",
        },
    ),
    "semantic_fpn_{}": (
        "Semantic FPN",
        {
            "ResNet-50, 160k": "mmseg::sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512.py",
            "PoolFormer-S24": "mmseg::poolformer/fpn_poolformer_s24_8xb4-40k_ade20k-512x512.py",
        },
    ),
    "semantic_fpn_{}_pvt": ("Semantic FPN, PVT's setting", {}),
    "mask2former_ade20k_{}": (
        "Mask2Former, ADE20K",
        {
            "ResNet-50": f"mmseg::mask2former/mask2former_r50_{_160K}",
            "Swin-T": f"mmseg::mask2former/mask2former_swin-t_{_160K}",
        },
    ),
}
# Recipes of which CycleMLP-B2 has one, too.
WITH_B2 = (
    *("mask_rcnn_{}_3x", "cascade_mask_rcnn_{}_3x", "upernet_{}"),
    *("mask2former_coco_{}", "mask2former_ade20k_{}"),
)
# Figures of CycleMLP's paper.
PAPER = {
    "mask_rcnn_cyclemlp_b1_pvt": "39.4 / 36.8",
    "mask_rcnn_cyclemlp_b2_pvt": "41.7 / 38.2",
    "mask_rcnn_cyclemlp_b3_pvt": "43.4 / 39.5",
    "retinanet_cyclemlp_b2_pvt": "40.9",
    "semantic_fpn_cyclemlp_b1_pvt": "39.5",
    "semantic_fpn_cyclemlp_b2_pvt": "42.4",
    "semantic_fpn_cyclemlp_b3_pvt": "44.5",
}


def ours(stem: str) -> dict[str, str]:
    """The backbones that a recipe has here."""
    if stem.endswith("_pvt"):
        return PVT
    return OURS | CYCLEMLP_B2 if stem in WITH_B2 else OURS


def published(name: str) -> str:
    """Box and mask AP, or mIoU, of the file of results that the library ships; empty if none."""
    path = config_path(name)
    for file in path.parent.glob("metafile.y*ml"):
        for entry in load(file)["Models"]:
            if entry.get("Config", "").endswith(path.name):
                results = entry["Results"]
                results = results if isinstance(results, list) else [results]
                metrics = {key: v for r in results for key, v in r["Metrics"].items()}
                wanted = ("box AP", "mask AP", "mIoU")
                return " / ".join(str(metrics[key]) for key in wanted if key in metrics)
    return ""


def rows() -> Iterator[list[str]]:
    yield ["recipe", "backbone", "parameters", "FLOPs", "AP or mIoU", "in its paper"]
    for stem, (recipe, peers) in RECIPES.items():
        for backbone, name in peers.items():
            parameters, flops = model_cost(name)
            yield [
                recipe,
                backbone,
                f"{parameters:.1f}M",
                f"{flops:.0f}G",
                published(name) or "n/a",
                "",
            ]
        for key, backbone in ours(stem).items():
            name = stem.format(key)
            file = f"{name}.py"
            parameters, flops = model_cost(f"mmsmlp::{file}")
            link = f"[{backbone}](../configs/{file})"
            paper = PAPER.get(name, "")
            yield [recipe, link, f"{parameters:.1f}M", f"{flops:.0f}G", "", paper]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into docs/{DOCUMENT.name}, too")
    args = parser.parse_args()
    table = []
    for row in rows():
        print(markdown_row(row), end="", flush=True)
        table.append(row)
    if args.write:
        renew_tables(DOCUMENT, markdown_table(table))


if __name__ == "__main__":
    main()
