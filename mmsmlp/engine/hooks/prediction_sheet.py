"""Draws predictions beside the ground truth, several images on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from matplotlib.figure import Figure
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

from mmsmlp.registry import HOOKS
from mmsmlp.visualization import draw_comparison


@HOOKS.register_module()
class PredictionSheetHook(Hook):
    """Writes ``predictions.png`` into the work directory after each validation or test.

    Images are picked at equal distances from the whole set. Objects are drawn alike on both sides;
    segmentation and classification are drawn by the visualizer of their library.

    Args:
        num_images: How many images the sheet shows.
        filename: Name of the picture.
    """

    priority = "VERY_LOW"

    def __init__(self, num_images: int = 8, filename: str = "predictions.png") -> None:
        self.num_images = num_images
        self.filename = filename
        self._panels: list[np.ndarray] = []

    @master_only
    def before_run(self, runner: Runner) -> None:
        """Say so if there will be no sheet."""
        if type(runner.visualizer) is Visualizer:
            runner.logger.warning(
                f"no {self.filename}: the config has no `visualizer` of a library, and mmengine's "
                "own draws no predictions"
            )

    # mmengine's hooks for validation and test call these with the mode.

    @master_only
    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        self._panels.clear()

    @master_only
    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | dict | None = None,
        mode: str = "train",
    ) -> None:
        if mode == "train" or type(runner.visualizer) is Visualizer:
            return
        # Image i is of batch i · num_batches / num_images, rounded down.
        num_batches = len(getattr(runner, f"{mode}_dataloader"))
        batches = [i * num_batches // self.num_images for i in range(self.num_images)]
        wanted = batches.count(batch_idx)
        for sample in outputs[:wanted]:
            image = mmcv.imread(sample.img_path, channel_order="rgb")
            self._panels.append(draw_comparison(runner.visualizer, image, sample))

    @master_only
    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        if mode == "train" or not self._panels:
            return
        columns = 2
        rows = ceil(len(self._panels) / columns)
        aspect = np.mean([panel.shape[0] / panel.shape[1] for panel in self._panels])
        figure = Figure(figsize=(8 * columns, 8 * aspect * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, panel in zip(grid.flat, self._panels, strict=False):
            axes.imshow(panel, interpolation="nearest")
        figure.suptitle("ground truth, then prediction")
        figure.savefig(Path(runner.work_dir) / self.filename, dpi=80)
