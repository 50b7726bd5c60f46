"""From a checkpoint to a file that has been checked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmsmlp.checkpoints import load_weights
from mmsmlp.engine.runner import find_dataset_meta
from mmsmlp.errors import ExportError
from mmsmlp.model_zoo.whole_models import build

from .checking import SIZES, TOLERANCES, Difference, check_predictions, largest_difference
from .metadata import metadata_of
from .parts import flatten, output_names, parts_of
from .quantizing import quantize
from .runtimes import Exported
from .tracing import trace
from .writing import PRECISIONS, SUFFIXES, write

# Height and width that every model accepts, with any padding.
EVERY = 256, 256
HALVES = dict(fp16=torch.float16, bf16=torch.bfloat16)


class Loaded(NamedTuple):
    """A model with its weights."""

    model: nn.Module
    meta: dict[str, Any]  # of the data set that it was trained on
    summary: str  # one line on the loaded tensors


def load_model(cfg: Config, checkpoint: str) -> Loaded:
    """Build the model of a config, and load a checkpoint into it.

    Args:
        cfg: The config.
        checkpoint: Path or URL.

    Raises:
        CheckpointError: If it is a checkpoint of something else.
    """
    model = build(cfg)
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location="cpu")
    summary, _ = load_weights(model, content, checkpoint)
    meta = (content.get("meta") or {}).get("dataset_meta") or find_dataset_meta(cfg)
    return Loaded(model, dict(meta), summary)


def export(
    loaded: Loaded,
    cfg: Config,
    out: Path,
    precision: str = "fp32",
    backbone_only: bool = False,
    calibration: Callable[[], list[Tensor]] | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Difference:
    """Write a model to a file, and compare that with the model before it gets its name.

    Args:
        loaded: The model.
        cfg: Its config.
        out: The file; its suffix sets the format.
        precision: One of those that the format has.
        backbone_only: Whether the backbone is wanted alone.
        calibration: Gives images as the model gets them, for int8.
        sizes: To compare at.

    Returns:
        The largest difference from eager.

    Raises:
        ExportError: If the model cannot be exported; no file is left then.
    """
    formats = {suffix: name for name, suffix in SUFFIXES.items()}
    if out.suffix not in formats:
        raise ExportError(f"the file must end in {', '.join(formats)}, got {str(out)!r}")
    if precision not in PRECISIONS[formats[out.suffix]]:
        allowed = ", ".join(PRECISIONS[formats[out.suffix]])
        raise ExportError(f"{formats[out.suffix]} comes in {allowed}, not in {precision}")
    eager, form = parts_of(loaded.model, backbone_only)
    if precision in HALVES and formats[out.suffix] != "openvino":
        form.to(HALVES[precision])
    with torch.no_grad():
        _, nest = flatten(eager.results(torch.rand(1, eager.channels, *EVERY)))
    names = output_names(eager.names, nest)
    preprocessor = getattr(loaded.model, "data_preprocessor", None)
    metadata = metadata_of(eager, nest, preprocessor, loaded.meta, cfg, precision)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-")
    except OSError as error:
        raise ExportError(f"cannot write into {str(out.parent)!r}: {error.strerror}") from error
    with folder as name:
        unchecked = Path(name, out.name)
        write(trace(form), unchecked, metadata, names)
        if precision == "int8":
            quantize(unchecked, calibration())
        difference = largest_difference(eager, Exported(unchecked), sizes)
        largest = difference.largest
        if largest > TOLERANCES[precision]:
            raise ExportError(
                f"the file differs from the model by {largest:.2g} of the largest value, "
                f"more than {TOLERANCES[precision]:g}"
            )
        if precision == "fp32" and not backbone_only and cfg.get("model"):
            check_predictions(loaded.model, Exported(unchecked), eager.channels)
        # The largest file goes first: if the named file exists, all of them do.
        for path in sorted(Path(name).iterdir(), key=lambda path: path.name == out.name):
            os.replace(path, out.parent / path.name)
    return difference
