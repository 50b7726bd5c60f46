"""Whether an exported file computes the same as its model."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmsmlp.errors import ExportError, one_line
from mmsmlp.model_zoo.whole_models import build

from .metadata import config_of
from .parts import KINDS, Part
from .runtimes import Exported, use_exported

# Below the native size of most networks, odd, at it, and above; each with both batches.
SIZES = ((32, 32), (97, 61), (224, 224), (160, 256), (288, 416))
BATCHES = (1, 3)
# Height and width, less a third, of the image whose predictions are compared.
PREDICTED = 96, 72
# The largest difference from eager, relative to the largest value of a map. Quantization answers to
# the accuracy alone.
TOLERANCES = dict(fp32=1e-4, fp16=0.03, bf16=0.1, int8=float("inf"))


class Difference(NamedTuple):
    """Result of a comparison.

    Attributes:
        largest: Relative to the largest value of a map.
        refused: Sizes that the model itself does not take.
    """

    largest: float
    refused: list[str]


@torch.no_grad()
def largest_difference(
    part: Part,
    exported: Exported,
    sizes: Sequence[tuple[int, int]] = SIZES,
    batches: Sequence[int] = BATCHES,
) -> Difference:
    """Compare a file with the eager model, on noise.

    Args:
        part: The exported part of the model.
        exported: The file.
        sizes: Of the images.
        batches: Of the images.

    Returns:
        The largest difference.

    Raises:
        ExportError: If a map has another shape, the runtime fails, or the model takes no size.
    """
    generator = torch.Generator().manual_seed(0)
    worst, refused = 0.0, []
    channels = getattr(part, "channels", 3)
    for height, width in sizes:
        for batch in batches:
            image = torch.randn(batch, channels, height, width, generator=generator)
            where = f"{batch} of {height}x{width}"
            try:
                eager = part(image)
            except RuntimeError:  # maps that do not fit together, or have nothing left
                refused.append(f"{height}x{width}")
                break
            try:
                found = exported.tensors(image)
            except Exception as error:  # every runtime has its own
                raise ExportError(
                    f"the file does not run with {where}: {one_line(error)}"
                ) from error
            for expected, y in zip(eager, found, strict=True):
                if y.shape != expected.shape:
                    shapes = f"{tuple(y.shape)}, not {tuple(expected.shape)}"
                    raise ExportError(f"with {where}, the file gives {shapes}")
                scale = expected.abs().max().clamp(min=1e-12)
                worst = max(worst, float((y - expected).abs().max() / scale))
    if len(refused) == len(sizes):
        raise ExportError(f"the model takes no image of {', '.join(refused)}")
    return Difference(worst, refused)


@torch.no_grad()
def check_predictions(model: nn.Module, exported: Exported, channels: int) -> None:
    """Compare the predictions of a model with those of its config and a file, on one image.

    Beside the graph, this covers the config in the file: sliding windows, thresholds, heads of
    several labels.

    Args:
        model: Of mmdet, mmseg or mmpretrain.
        exported: Its file.
        channels: Of images.

    Raises:
        ExportError: If the config cannot be built again, or scores or classes differ.
    """
    if KINDS[exported.metadata["kind"]].leaves:  # a checkpoint has the other weights
        return
    cfg = config_of(exported.metadata)
    try:
        other = build(cfg)
    except Exception as error:  # any error of a third party's constructor
        raise ExportError(f"the config in the file cannot be built: {one_line(error)}") from error
    use_exported(other, exported)
    crop = (getattr(model, "test_cfg", None) or {}).get("crop_size") or PREDICTED
    size = tuple(side + side // 3 for side in crop)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (channels, *size), dtype=torch.uint8, generator=generator)
    expected, found = (_predicted(one.eval(), image, cfg.default_scope) for one in (model, other))
    same = (expected - found).abs() < 1e-3 if expected.is_floating_point() else expected == found
    if same.float().mean() < 0.99:
        raise ExportError(
            f"predictions with the file differ from the model's in {1 - same.float().mean():.0%}: "
            f"{type(model).__name__} does more around its graph than a file can hold"
        )


def _predicted(model: nn.Module, image: Tensor, scope: str) -> Tensor:
    """The scores, or classes of pixels, that a model predicts for an image (C, H, W)."""
    structures = importlib.import_module(f"{scope}.structures")
    kind = dict(mmdet="DetDataSample", mmseg="SegDataSample", mmpretrain="DataSample")[scope]
    size = tuple(image.shape[1:])
    sample = getattr(structures, kind)()
    sample.set_metainfo(dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0))
    data = dict(inputs=[image], data_samples=[sample])
    (result,) = model.test_step(data)
    if "pred_sem_seg" in result:
        return result.pred_sem_seg.data.long()
    return result.pred_score if "pred_score" in result else result.pred_instances.scores[:1]
