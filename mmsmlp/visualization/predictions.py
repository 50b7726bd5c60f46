"""A model's predictions on an image, drawn by the visualizer of its library."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from matplotlib.font_manager import findfont
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import BaseDataElement, InstanceData
from mmengine.visualization import Visualizer
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from torchvision.utils import draw_segmentation_masks

# Shorter side of a panel in pixels: labels on a smaller one would cover the objects.
_SIDE = 384
_FONT_SIZE = 16
_GAP = 6  # between the two sides, in pixels

DRAWN_BY = dict(
    mmdet="DetLocalVisualizer", mmseg="SegLocalVisualizer", mmpretrain="UniversalVisualizer"
)
_numbers = count()


def build_visualizer(cfg: Config, model: nn.Module, meta: Mapping[str, Any]) -> Visualizer:
    """The visualizer of a config, which writes nothing by itself.

    Args:
        cfg: The config; without a visualizer, its library's own draws.
        model: The model.
        meta: Of the data set that it was trained on; classes and colours that it lacks are made up.

    Returns:
        The visualizer; its ``dataset_meta`` has ``classes`` and ``palette``.
    """
    scope = cfg.default_scope
    parts = (getattr(model, name, None) for name in ("decode_head", "bbox_head", "head"))
    numbers = (getattr(part, "num_classes", 0) for part in (model, *parts) if part is not None)
    classes = list(meta.get("classes") or [f"class {i}" for i in range(max(numbers, default=0))])
    colours = np.random.default_rng(0).integers(256, size=(len(classes), 3)).tolist()
    own = cfg.get("visualizer") or dict(type=DRAWN_BY[scope])
    registry = importlib.import_module(f"{scope}.registry")
    with DefaultScope.overwrite_default_scope(scope):
        # The name separates it from those of other models.
        visualizer = registry.VISUALIZERS.build(
            dict(own, name=f"predictions {next(_numbers)}", vis_backends=None)
        )
    palette = meta.get("palette")
    palette = palette if palette and not isinstance(palette, str) else colours
    visualizer.dataset_meta = dict(classes=classes, palette=[tuple(colour) for colour in palette])
    return visualizer


def draw_sample(
    visualizer: Visualizer, image: np.ndarray, sample: BaseDataElement, **options: Any
) -> np.ndarray:
    """An image with its annotations, predictions, or both beside each other.

    Args:
        visualizer: Of mmdet, mmseg or mmpretrain.
        image: ``(H, W, 3)``, RGB.
        sample: The predictions to draw.
        options: Further arguments of the visualizer, such as ``draw_gt``.

    Returns:
        ``(H', W', 3)``, RGB.
    """
    # Classification has another method, and one picture for both labels.
    draw = getattr(visualizer, "visualize_cls", None) or visualizer.add_datasample
    with tempfile.TemporaryDirectory() as folder:
        # Without `out_file` the visualizer would add every image to its backends as well.
        out_file = str(Path(folder) / "panel.png")
        draw(name="panel", image=image, data_sample=sample, out_file=out_file, **options)
        return mmcv.imread(out_file, channel_order="rgb")


def draw_comparison(
    visualizer: Visualizer, image: np.ndarray, sample: BaseDataElement, min_score: float = 0.5
) -> np.ndarray:
    """Ground truth on the left, prediction on the right.

    Objects are drawn in the same way on both sides: a filled mask, a box and a label, one colour a
    class. Everything else is drawn by the visualizer of the library.

    Args:
        visualizer: Of mmdet, mmseg or mmpretrain.
        image: ``(H, W, 3)``, RGB.
        sample: The model's predictions in a test, with annotations.
        min_score: Detections below are not drawn.

    Returns:
        ``(H', W', 3)``, RGB.
    """
    found, truth = (getattr(sample, f"{kind}_instances", None) for kind in ("pred", "gt"))
    if found is None or truth is None or getattr(sample, "pred_panoptic_seg", None) is not None:
        return draw_sample(visualizer, image, sample)
    classes = visualizer.dataset_meta["classes"]
    colours = _palette(visualizer.dataset_meta.get("palette"), len(classes))
    found = found[found.scores >= min_score].cpu().numpy()
    scores = zip(found.labels.tolist(), found.scores.tolist(), strict=True)
    sides = [
        (truth, [classes[label] for label in truth.labels.tolist()]),
        (found, [f"{classes[label]} {score:.2f}" for label, score in scores]),
    ]
    left, right = (_draw_instances(image, *side, colours) for side in sides)
    return np.hstack([left, np.full_like(left[:, :_GAP], 255), right])


def _palette(named: str | list | None, num_classes: int) -> list[tuple[int, ...]]:
    # mmdet's own reading of a palette, which may be a name.
    from mmdet.visualization import get_palette

    return get_palette(named or "random", num_classes)


def _draw_instances(
    image: np.ndarray, instances: InstanceData, titles: list[str], colours: list[tuple[int, ...]]
) -> np.ndarray:
    """Draw masks, boxes and titles onto an enlarged copy of the image."""
    height, width = image.shape[:2]
    scale = max(1, round(_SIDE / min(height, width)))
    canvas = mmcv.imrescale(image, scale, interpolation="nearest")
    picture = torch.from_numpy(np.ascontiguousarray(canvas)).permute(2, 0, 1)
    if not titles:
        return canvas
    shades = [tuple(colours[label]) for label in instances.labels.tolist()]
    masks = getattr(instances, "masks", None)
    if masks is not None:
        masks = masks.to_ndarray() if hasattr(masks, "to_ndarray") else masks
        masks = np.asarray(masks, dtype=bool).repeat(scale, 1).repeat(scale, 2)
        picture = draw_segmentation_masks(picture, torch.from_numpy(masks), 0.6, shades)
    canvas = Image.fromarray(picture.permute(1, 2, 0).numpy())
    draw, font = ImageDraw.Draw(canvas), ImageFont.truetype(findfont("DejaVu Sans"), _FONT_SIZE)
    corners = np.asarray(getattr(instances.bboxes, "tensor", instances.bboxes)) * scale
    corners = corners.clip(0, np.tile([canvas.width - 1, canvas.height - 1], 2))
    for corner, title, shade in zip(corners.tolist(), titles, shades, strict=True):
        draw.rectangle(corner, outline=shade, width=2)
        draw.rectangle(draw.textbbox(corner[:2], title, font), fill=shade)
        draw.text(corner[:2], title, "white", font)
    return np.asarray(canvas)
