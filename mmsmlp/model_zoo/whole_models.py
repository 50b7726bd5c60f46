"""Parameters and multiply-adds of complete models of mmdet and mmseg."""

from __future__ import annotations

import importlib

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmsmlp.errors import UsageError

from .cost import multiply_adds, parameters
from .finding import config_path

SCOPES = ("mmdet", "mmseg", "mmpretrain")
SIZES = {"mmdet": (800, 1280), "mmseg": (512, 2048)}
# mmdet's counts: regions for the box heads, and for a mask head.
REGIONS, MASK_REGIONS = 1000, 100


def build(cfg: Config) -> nn.Module:
    """The model of a config, in evaluation mode, whose weights are yet to come.

    Raises:
        UsageError: If ``default_scope`` names none of the libraries.
    """
    scope = cfg.get("default_scope")
    if scope not in SCOPES:
        raise UsageError(f"default_scope must be one of {list(SCOPES)}, got {scope!r}")
    init_default_scope(scope)
    registry = importlib.import_module(f"{scope}.registry")
    model = cfg.model.copy()
    model.pop("pretrained", None)  # mmseg's old name for weights of the backbone
    if preprocessor := cfg.get("data_preprocessor"):  # as mmengine's Runner hands it over
        model.setdefault("data_preprocessor", preprocessor)
    return registry.MODELS.build(model).eval()


def heads(model: nn.Module, maps: tuple[Tensor, ...], regions: tuple[int, int]) -> None:
    """Run the heads at test time, without the selection of boxes, which is not counted.

    Box and mask heads get the given number of regions, not those that random weights propose.
    """
    if hasattr(model, "decode_head"):
        model.decode_head(maps)
        return
    if not hasattr(model, "rpn_head"):
        model.bbox_head(maps)
        return
    model.rpn_head(maps)
    roi = model.roi_head
    for name, count in zip(("bbox", "mask"), regions, strict=True):
        extractors, parts = getattr(roi, f"{name}_roi_extractor"), getattr(roi, f"{name}_head")
        if not isinstance(parts, nn.ModuleList):
            extractors, parts = [extractors], [parts]
        for extractor, part in zip(extractors, parts, strict=True):
            side = extractor.roi_layers[0].output_size
            part(maps[0].new_zeros(count, extractor.out_channels, *side))


def mask2former_heads(cfg: Config, maps: tuple[Tensor, ...]) -> None:
    """The same for Mask2Former, whose attention masks depend on values: on the CPU, on zeros."""
    model = build(cfg)
    maps = tuple(torch.zeros(y.shape) for y in maps)
    if hasattr(model, "decode_head"):
        from mmseg.structures import SegDataSample

        model.decode_head(maps, [SegDataSample(metainfo=dict(img_shape=SIZES["mmseg"]))])
    else:
        from mmdet.structures import DetDataSample

        model.panoptic_head(maps, [DetDataSample(metainfo=dict(img_shape=SIZES["mmdet"]))])


def model_cost(
    name: str,
    size: tuple[int, int] | None = None,
    regions: tuple[int, int] = (REGIONS, MASK_REGIONS),
) -> tuple[float, float]:
    """The cost of a config's model.

    Args:
        name: Of the config, such as ``'mmsmlp::retinanet_smlpnet_t.py'``.
        size: Height and width of the image; by default the libraries' size.
        regions: How many of them the box heads see, and a mask head.

    Returns:
        Millions of parameters, and billions of multiply-adds of one image.
    """
    cfg = Config.fromfile(config_path(name))
    model = build(cfg).to("meta")

    def forward() -> None:
        maps = model.extract_feat(
            torch.zeros(1, 3, *(size or SIZES[cfg.default_scope]), device="meta")
        )
        if "mask2former" in name:
            mask2former_heads(cfg, maps)
        else:
            heads(model, maps, regions)

    return parameters(model), multiply_adds(forward)
