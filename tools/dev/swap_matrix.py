"""Swap small backbones into models that mmdet and mmseg ship; train and test each for a step.

Prints the results, or with --write renews the table in docs/swap.md.
"""

import argparse
import traceback
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from multiprocessing import Pool
from typing import Any

import torch
from documents import DOCS, renew_tables
from mmengine.logging import MessageHub
from rich.progress import track
from torch import Tensor

from mmsmlp.engine.runner import find_config, markdown_table
from mmsmlp.errors import SwapError, one_line
from mmsmlp.swap import build_model, read_config, swap_backbone

DOCUMENT = DOCS / "swap.md"
ARCH = dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), patch_sizes=(4, 2, 2, 2), mlp_ratio=2)
BACKBONES = {
    "sMLPNet": dict(type="mmsmlp.SMLPNet", arch=ARCH, img_size=64),
    "S²-MLPv2": dict(type="mmsmlp.S2MLPv2", arch=ARCH, img_size=64, drop_path_rate=0.0),
}
MMDET = [
    "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
    "faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco",
    "faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco",
    "mask_rcnn/mask-rcnn_r50_fpn_1x_coco",
    "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco",
    "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco",
    "htc/htc_r50_fpn_1x_coco",
    "libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco",
    "double_heads/dh-faster-rcnn_r50_fpn_1x_coco",
    "point_rend/point-rend_r50-caffe_fpn_ms-1x_coco",
    "ms_rcnn/ms-rcnn_r50_fpn_1x_coco",
    "groie/mask-rcnn_r50_fpn_groie_1x_coco",
    "pafpn/faster-rcnn_r50_pafpn_1x_coco",
    "hrnet/faster-rcnn_hrnetv2p-w18-1x_coco",
    "swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco",
    "detectors/cascade-rcnn_r50-rfp_1x_coco",
    "retinanet/retinanet_r50_fpn_1x_coco",
    "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
    "atss/atss_r50_fpn_1x_coco",
    "dyhead/atss_r50_fpn_dyhead_1x_coco",
    "gfl/gfl_r50_fpn_1x_coco",
    "paa/paa_r50_fpn_1x_coco",
    "vfnet/vfnet_r50_fpn_1x_coco",
    "tood/tood_r50_fpn_1x_coco",
    "autoassign/autoassign_r50-caffe_fpn_1x_coco",
    "foveabox/fovea_r50_fpn_4xb4-1x_coco",
    "fsaf/fsaf_r50_fpn_1x_coco",
    "reppoints/reppoints-moment_r50_fpn_1x_coco",
    "yolof/yolof_r50-c5_8xb8-1x_coco",
    "yolact/yolact_r50_1xb8-55e_coco",
    "solo/solo_r50_fpn_1x_coco",
    "solov2/solov2_r50_fpn_1x_coco",
    "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance",
    "boxinst/boxinst_r50_fpn_ms-90k_coco",
    "queryinst/queryinst_r50_fpn_1x_coco",
    "sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco",
    "detr/detr_r50_8xb2-150e_coco",
    "conditional_detr/conditional-detr_r50_8xb2-50e_coco",
    "dab_detr/dab-detr_r50_8xb2-50e_coco",
    "deformable_detr/deformable-detr_r50_16xb2-50e_coco",
    "dino/dino-4scale_r50_8xb2-12e_coco",
    "ddq/ddq-detr-4scale_r50_8xb2-12e_coco",
    "mask2former/mask2former_r50_8xb2-lsj-50e_coco",
    "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic",
    "maskformer/maskformer_r50_ms-16xb1-75e_coco",
    "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco",
    "rtmdet/rtmdet_s_8xb32-300e_coco",
    "rtmdet/rtmdet-ins_s_8xb32-300e_coco",
    "centernet/centernet-update_r50_fpn_8xb8-amp-lsj-200e_coco",
    "nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco",
    "yolox/yolox_s_8xb8-300e_coco",
    "yolo/yolov3_d53_8xb8-320-273e_coco",
]
MMSEG = [
    "upernet/upernet_r50_4xb4-160k_ade20k-512x512",
    "sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512",
    "pspnet/pspnet_r50-d8_4xb4-160k_ade20k-512x512",
    "deeplabv3/deeplabv3_r50-d8_4xb4-160k_ade20k-512x512",
    "deeplabv3plus/deeplabv3plus_r50-d8_4xb4-160k_ade20k-512x512",
    "fcn/fcn_r50-d8_4xb4-160k_ade20k-512x512",
    "ocrnet/ocrnet_hr18_4xb4-160k_ade20k-512x512",
    "point_rend/pointrend_r50_4xb4-160k_ade20k-512x512",
    "segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512",
    "knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512",
    "maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512",
    "mask2former/mask2former_r50_8xb2-160k_ade20k-512x512",
    "danet/danet_r50-d8_4xb4-160k_ade20k-512x512",
    "ccnet/ccnet_r50-d8_4xb4-160k_ade20k-512x512",
    "encnet/encnet_r50-d8_4xb4-160k_ade20k-512x512",
    "gcnet/gcnet_r50-d8_4xb4-160k_ade20k-512x512",
    "isanet/isanet_r50-d8_4xb4-160k_ade20k-512x512",
    "dmnet/dmnet_r50-d8_4xb4-160k_ade20k-512x512",
    "apcnet/apcnet_r50-d8_4xb4-160k_ade20k-512x512",
    "nonlocal_net/nonlocal_r50-d8_4xb4-160k_ade20k-512x512",
    "ann/ann_r50-d8_4xb4-160k_ade20k-512x512",
    "dnlnet/dnl_r50-d8_4xb4-160k_ade20k-512x512",
    "fastfcn/fastfcn_r50-d32_jpu_aspp_4xb4-160k_ade20k-512x512",
    "bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024",
]
CONFIGS = [f"mmdet::{name}.py" for name in MMDET] + [f"mmseg::{name}.py" for name in MMSEG]
# Numbers that a swap has nothing to do with, and that only cost time here.
SMALL = dict(
    num_queries=20,
    num_proposals=20,
    num_dn_queries=10,
    feedforward_channels=32,
    fc_out_channels=32,
    max_per_img=20,
    stacked_convs=1,
    num_convs=1,
    num_points=200,
)
STACKS = ("encoder", "decoder", "transformer_decoder")
SIZE = 64


def shrink(node: Any) -> None:
    """Make a model smaller in place, without changing its kind."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in SMALL and isinstance(value, int):
                node[key] = min(value, SMALL[key])
            elif key == "clip_border":
                # Untrained boxes may lie beside the image: no masks can be pasted there.
                node[key] = True
            elif key in STACKS and isinstance(value, dict) and "num_layers" in value:
                value["num_layers"] = 2
        if "in_index" in node and isinstance(node.get("channels"), int):
            node["channels"] = min(node["channels"], 64)
        node = node.values()
    if isinstance(node, (list, tuple)) or (not isinstance(node, str) and hasattr(node, "__iter__")):
        for child in node:
            shrink(child)


def swapped(name: str, backbone: str) -> dict[str, Any]:
    """A small version of a config with one of the ``BACKBONES``."""
    cfg = swap_backbone(read_config(find_config(name)).to_dict(), BACKBONES[backbone])
    model = cfg["model"]
    if "knet" not in name:
        shrink(model)
    model["data_preprocessor"]["batch_augments"] = None
    if cfg["default_scope"] == "mmseg":
        del model["data_preprocessor"]["batch_augments"]
        model["data_preprocessor"]["size"] = (SIZE, SIZE)
        model["test_cfg"]["mode"] = "whole"
    return cfg


def batch(cfg: dict[str, Any]) -> dict[str, Any]:
    """Two annotated images of noise."""
    if cfg["default_scope"] == "mmdet":
        from mmdet.testing import demo_mm_inputs

        pipeline = str(cfg["train_dataloader"])
        stride = 8 if cfg["model"]["type"] == "HybridTaskCascade" else 1
        return demo_mm_inputs(
            image_shapes=(3, SIZE, SIZE),
            num_items=[2, 3],
            with_mask=any(key in pipeline for key in ("'with_mask': True", "LoadPanoptic")),
            with_semantic=True,
            sem_seg_output_strides=stride,
            use_box_type=True,
        )
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    size = (SIZE, SIZE)
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.randint(0, 10, (1, *size))),
            metainfo=dict(img_shape=size, ori_shape=size),
        )
        for _ in range(2)
    ]
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for _ in range(2)]
    return dict(inputs=images, data_samples=samples)


def tensors(losses: Any) -> Iterator[Tensor]:
    """All tensors in nested losses."""
    if isinstance(losses, Tensor):
        yield losses
    else:
        for part in losses.values() if isinstance(losses, dict) else losses:
            yield from tensors(part)


def check(name: str, backbone: str) -> None:
    """Swap, build, loss, backward, predict.

    Raises:
        SwapError: If the model cannot take the backbone.
        AssertionError: If a parameter of the backbone gets no gradient, or nothing is predicted.
    """
    torch.manual_seed(0)
    cfg = swapped(name, backbone)
    model = build_model(cfg)
    model.init_weights()
    data = batch(cfg)
    model.train()
    # Some losses depend on the progress of training, which a Runner would set.
    MessageHub.get_current_instance().update_info_dict(dict(epoch=0, iter=1))
    inputs = model.data_preprocessor(deepcopy(data), True)
    losses, _ = model.parse_losses(model._run_forward(inputs, mode="loss"))
    assert losses.isfinite(), losses
    losses.backward()
    without = [n for n, p in model.backbone.named_parameters() if p.grad is None]
    assert not without, f"no gradient in {without}"
    assert sum(p.grad.abs().sum() for p in model.backbone.parameters()) > 0
    model.eval()
    with torch.no_grad():
        samples = model.test_step(data)
    assert len(samples) == 2
    predictions = ("pred_instances", "pred_panoptic_seg", "pred_sem_seg")
    assert all(any(key in sample for key in predictions) for sample in samples)


def outcomes(
    check: Callable[..., str | None],
    cases: Sequence[tuple[str, ...]],
    refusal: type[Exception],
    processes: int,
) -> dict[tuple[str, ...], str]:
    """Result of each case: its known reason for failing, or the result of a check.

    Args:
        check: Raises an error if a case does not work.
        cases: Arguments of the check.
        refusal: The error that gives a reason.
        processes: To share the work.
    """
    with Pool(processes) as pool:
        reasons = pool.imap(partial(outcome, check, refusal), cases)
        return dict(zip(cases, track(reasons, total=len(cases)), strict=True))


def outcome(
    check: Callable[..., str | None], refusal: type[Exception], case: tuple[str, ...]
) -> str:
    """Error of a case; empty if it works."""
    torch.set_num_threads(1)
    try:
        return check(*case) or ""
    except refusal as error:
        return str(error)
    except Exception as error:
        traceback.print_exc()
        return f"FAILS: {one_line(error)}"


def table(found: dict[tuple[str, ...], str]) -> str:
    """Markdown table, a config a row."""
    rows = [
        [f"`{name}`", *(found[name, backbone] or "✔" for backbone in BACKBONES)] for name in CONFIGS
    ]
    return markdown_table([["config", *BACKBONES], *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"renew the table in {DOCUMENT.name}")
    parser.add_argument("--processes", type=int, default=2, help="to share the work (default: 2)")
    args = parser.parse_args()
    cases = [(name, backbone) for name in CONFIGS for backbone in BACKBONES]
    text = table(outcomes(check, cases, SwapError, args.processes))
    print(text, end="")
    if args.write:
        renew_tables(DOCUMENT, text)


if __name__ == "__main__":
    main()
