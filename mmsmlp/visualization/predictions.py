"""What a model found in an image, drawn by the visualizer of its library."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer


def draw_sample(
    visualizer: Visualizer, image: np.ndarray, sample: BaseDataElement, **options: Any
) -> np.ndarray:
    """An image with its annotations, predictions, or both beside each other.

    Args:
        visualizer: Of mmdet, mmseg or mmpretrain.
        image: ``(H, W, 3)``, RGB.
        sample: What there is to draw.
        options: Further arguments of the visualizer, such as ``draw_gt``.

    Returns:
        ``(H', W', 3)``, RGB.
    """
    # Classification has a method of its own name, and one picture for both labels.
    draw = getattr(visualizer, "visualize_cls", None) or visualizer.add_datasample
    with tempfile.TemporaryDirectory() as folder:
        # Without `out_file` the visualizer would add every image to its backends as well.
        out_file = str(Path(folder) / "panel.png")
        draw(name="panel", image=image, data_sample=sample, out_file=out_file, **options)
        return mmcv.imread(out_file, channel_order="rgb")
