"""The exported part of a model: everything with a graph, without the decoding of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmsmlp.errors import ExportError
from mmsmlp.models.backbones.pyramid import PyramidBackbone

from .blocks import PyramidForm, multiple
from .form import export_form

# Nested sequences of numbers that stand for tensors.
Nest = int | list["Nest"]


class Part(nn.Module):
    """The exported part of a model: a normalised image in, tensors out.

    Args:
        model: The model, in the form of export or not.
        divisor: The sides of images become multiples of it, by zeros at the bottom and right.
        pads: Whether that is done here. The export form of a backbone pads by itself.

    Attributes:
        channels: Of images.
        kind: Name of the kind.
        names: Of the results, which may be nests of tensors.
        head: The part of the model that makes the last result.
        leaves: Whether parts with weights are left to the library.
    """

    kind = "backbone"
    names: Sequence[str] = ("features",)
    head = "backbone"
    leaves = False

    def __init__(self, model: nn.Module, divisor: int = 1, pads: bool = True) -> None:
        super().__init__()
        self.model = model
        self.divisor = divisor
        self.pads = pads
        convolutions = (m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
        self.channels = next(convolutions, 3)

    def results(self, image: Tensor) -> tuple[Any, ...]:
        """As many as there are names."""
        return (self.model(image),)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> the tensors of all results."""
        image = image.to(next(self.model.parameters()).dtype)
        if self.pads and self.divisor > 1:
            height, width = (multiple(side, self.divisor) for side in image.shape[2:])
            image = F.pad(image, (0, width - image.shape[3], 0, height - image.shape[2]))
        return [y.float() for y in flatten(self.results(image))[0]]


class Classifier(Part):
    """Of mmpretrain, complete."""

    kind, names, head = "classifier", ("logits",), "head"

    def results(self, image: Tensor) -> tuple[Any, ...]:
        return (self.model.head(self.model.extract_feat(image)),)


class OpenSize(tuple):
    """Height and width of an image that is traced, which data samples copy and torch cannot."""

    def __deepcopy__(self, memo: dict) -> OpenSize:
        return self


class Segmentor(Part):
    """Of mmseg, complete; logits have the size of the image."""

    kind, names = "segmentor", ("logits",)

    def results(self, image: Tensor) -> tuple[Any, ...]:
        size = OpenSize(multiple(side, self.divisor) for side in image.shape[2:])
        return (self.model.encode_decode(image, [dict(img_shape=size)]),)

    def forward(self, image: Tensor) -> list[Tensor]:
        logits = super().forward(image)
        if self.divisor == 1:
            return logits
        return [y[:, :, : image.shape[2], : image.shape[3]] for y in logits]


class OneStageDetector(Part):
    """Of mmdet, except the head's ``predict_by_feat``."""

    kind, names, head = "one-stage detector", ("head",), "bbox_head"

    def results(self, image: Tensor) -> tuple[Any, ...]:
        return (getattr(self.model, self.head)(self.model.extract_feat(image)),)


class MaskDetector(OneStageDetector):
    """The same of models that find masks without boxes, such as SOLO."""

    head = "mask_head"


class FeaturesAndHead(Part):
    """Of mmdet, up to the features and the output of a first head."""

    leaves = True

    def results(self, image: Tensor) -> tuple[Any, ...]:
        features = self.model.extract_feat(image)
        return features, getattr(self.model, self.head)(features)


class TwoStageDetector(FeaturesAndHead):
    """Up to the RPN."""

    kind, names, head = "two-stage detector", ("features", "rpn"), "rpn_head"


class InstanceSegmentor(FeaturesAndHead):
    """Up to the box head, of one stage: masks are made of the boxes that are kept."""

    kind, names, head = "one-stage instance segmentor", ("features", "head"), "bbox_head"


KINDS = {
    part.kind: part
    for part in (Part, Classifier, Segmentor, OneStageDetector, TwoStageDetector, InstanceSegmentor)
}


def kind_of(model: nn.Module) -> type[Part]:
    """The part of a model that can be exported.

    Raises:
        ExportError: If there is none, except perhaps its backbone.
    """
    if isinstance(model, PyramidBackbone):
        return Part
    if hasattr(model, "encode_decode"):
        return Segmentor
    if getattr(model, "with_rpn", False) and getattr(model, "with_roi_head", False):
        return TwoStageDetector
    names = {base.__name__ for base in type(model).__mro__}
    if "SingleStageDetector" in names and hasattr(model.bbox_head, "predict_by_feat"):
        return OneStageDetector
    if "SingleStageInstanceSegmentor" in names:
        return InstanceSegmentor if model.with_bbox else MaskDetector
    if "ImageClassifier" in names:
        return Classifier
    raise ExportError(
        f"a {type(model).__name__} is no classifier, segmentor, one-stage or two-stage detector; "
        "--backbone-only exports its backbone"
    )


def parts_of(model: nn.Module, backbone_only: bool = False) -> tuple[Part, Part]:
    """The part of a model that is exported, as it is and in the form of export.

    Args:
        model: A model of mmdet, mmseg or mmpretrain, or one of our backbones.
        backbone_only: Whether its backbone is wanted alone.

    Raises:
        ExportError: If there is no such part.
    """
    if backbone_only:
        kind, model, divisor = Part, getattr(model, "backbone", model), 1
    else:
        kind, divisor = kind_of(model), divisor_of(model)
        _check_padding(model, divisor)
    form = export_form(model, divisor)
    pads = not any(isinstance(module, PyramidForm) for module in form.modules())
    return kind(model.eval(), divisor), kind(form, divisor, pads)


def divisor_of(model: nn.Module) -> int:
    """The divisor of image sides in a model's preprocessor in a test."""
    preprocessor = getattr(model, "data_preprocessor", None)
    options = getattr(preprocessor, "test_cfg", None) or {}
    return options.get("size_divisor") or getattr(preprocessor, "pad_size_divisor", 1)


def _check_padding(model: nn.Module, divisor: int) -> None:
    """Refuse a test that pads in a way that a graph, which knows one image alone, cannot."""
    options = getattr(getattr(model, "data_preprocessor", None), "test_cfg", None) or {}
    if options.get("size"):
        raise ExportError(
            f"data_preprocessor.test_cfg.size={options['size']} pads images to one size, which a "
            "file of all sizes cannot: leave it out, or pad by size_divisor"
        )
    if divisor > 1 and getattr(model, "test_cfg", None) and model.test_cfg.get("mode") == "slide":
        raise ExportError(
            "test_cfg.mode='slide' with data_preprocessor.test_cfg.size_divisor slides over "
            "padding, which a file cannot: leave size_divisor out"
        )


def flatten(nest: Any) -> tuple[list[Tensor], Nest]:
    """All tensors of a nest of sequences, and the same nest of their numbers."""
    tensors: list[Tensor] = []

    def number(part: Any) -> Nest:
        if isinstance(part, Tensor):
            tensors.append(part)
            return len(tensors) - 1
        return [number(child) for child in part]

    return tensors, number(nest)


def unflatten(tensors: Sequence[Any], nest: Nest) -> Any:
    """The inverse of :func:`flatten`, with lists for sequences."""
    if isinstance(nest, int):
        return tensors[nest]
    return [unflatten(tensors, part) for part in nest]


def output_names(names: Sequence[str], nest: Nest) -> list[str]:
    """A name for each tensor of results: that of the result and where in it the tensor is."""
    found: list[str] = []

    def walk(name: str, part: Nest) -> None:
        if isinstance(part, int):
            found.append(name)
        else:
            for i, child in enumerate(part):
                walk(f"{name}_{i}", child)

    for name, part in zip(names, nest, strict=True):
        walk(name, part)
    return found
