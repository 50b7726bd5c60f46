"""Models of OpenMMLab that run an exported file in place of their own parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mmsmlp.errors import ExportError

from .parts import KINDS, FeaturesAndHead, Part, Segmentor, kind_of
from .runtimes import DEFAULTS, Exported


def is_export(path: str) -> bool:
    """Whether a path is that of an exported file rather than of a checkpoint."""
    return Path(path).suffix in DEFAULTS


def check_rest(path: str, exported: Exported, rest: str | None) -> None:
    """Make sure that weights are given for what a file leaves to torch, and for nothing else.

    Args:
        path: The file.
        exported: What is in it.
        rest: The checkpoint that was given.

    Raises:
        ExportError: If they are not.
    """
    kind = exported.metadata["kind"]
    # What follows a backbone is in no file.
    lacks = kind == Part.kind or KINDS[kind].leaves
    if lacks and rest is None:
        raise ExportError(
            f"{path!r} holds a part of a {kind}: add --rest CHECKPOINT for the others"
        )
    if rest is not None and not lacks:
        raise ExportError(f"--rest: {path!r} holds a whole {kind}")


def graft(model: nn.Module, exported: Exported) -> None:
    """Let a model run a file in place of the parts that are in it.

    The model keeps what comes before and after: it prepares images, and decodes and draws what was
    found.

    Args:
        model: A model of mmdet, mmseg or mmpretrain, changed in place.
        exported: The file.

    Raises:
        ExportError: If the file is of another kind of model.
    """
    held = exported.metadata["kind"]
    preprocessor = model.data_preprocessor
    # The file pads for itself; what is padded before is a part of the image to it.
    if hasattr(preprocessor, "pad_size_divisor"):
        preprocessor.pad_size_divisor = 1
    if hasattr(preprocessor, "test_cfg"):
        preprocessor.test_cfg = None
    if held == Part.kind:
        model.backbone.forward = lambda image: tuple(exported(image)["features"])
        return
    kind = kind_of(model)
    if held != kind.kind:
        raise ExportError(f"the file holds a {held}, the config describes a {kind.kind}")
    if issubclass(kind, FeaturesAndHead):
        said: list[Any] = []

        def features_of(image: Tensor) -> tuple[Tensor, ...]:
            results = exported(image)
            said[:] = results[kind.names[1]]
            return tuple(results["features"])

        model.extract_feat = features_of
        getattr(model, kind.head).forward = lambda features: tuple(said)
        return
    if kind is Segmentor:
        model.encode_decode = lambda image, metas: exported(image)["logits"]
        return
    (name,) = kind.names
    head = getattr(model, kind.head)
    model.extract_feat = lambda image: exported(image)[name]
    # What comes out of the file is what the head would make.
    head.forward = lambda results: results
