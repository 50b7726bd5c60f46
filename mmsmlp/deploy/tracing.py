"""One graph of a part of a model, for any batch, height and width."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsmlp.errors import ExportError, one_line

from .exporters import quiet

# Batch, height and width that are traced: on no level a native size of one of our backbones.
TRACED = 2, 288, 320


def trace(part: nn.Module) -> torch.export.ExportedProgram:
    """One graph for any batch, height and width.

    Raises:
        ExportError: If torch cannot make it.
    """
    if not hasattr(torch, "export") or not hasattr(torch.export.Dim, "DYNAMIC"):
        raise ExportError(f"torch {torch.__version__} cannot export open sizes; 2.6 and later can")
    open_size = torch.export.Dim.DYNAMIC
    sizes = {0: open_size, 2: open_size, 3: open_size}
    batch, height, width = TRACED
    image = torch.rand(batch, getattr(part, "channels", 3), height, width)
    with quiet(), open_functions():
        try:
            return torch.export.export(part, (image,), dynamic_shapes=(sizes,), strict=False)
        except Exception as error:  # any error of a third party's model and torch
            raise ExportError(f"torch.export does not take it: {one_line(error)}") from error


@contextmanager
def open_functions() -> Iterator[None]:
    """Within, functions that torch traces for one size only, or not at all, are made of others."""
    replaced = [
        (F, "adaptive_avg_pool2d", adaptive_avg_pool2d),
        (F, "interpolate", interpolate),
        (torch, "linspace", linspace),
        *deformable_convolutions(),
        *resizing_functions(),
    ]
    originals = [vars(owner)[name] for owner, name, _ in replaced]
    for owner, name, function in replaced:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for (owner, name, _), original in zip(replaced, originals, strict=True):
            setattr(owner, name, original)


def deformable_convolutions() -> list[tuple[type, str, staticmethod]]:
    """Those of mmcv, where it is in use, and torchvision's for them, which exporters know."""
    if "mmcv.ops" not in sys.modules:
        return []
    from mmcv.ops.deform_conv import DeformConv2dFunction
    from mmcv.ops.modulated_deform_conv import ModulatedDeformConv2dFunction
    from torchvision.ops import deform_conv2d

    def plain(ctx: Any, x: Tensor, offset: Tensor, weight: Tensor, *options: Any) -> Tensor:
        return deform_conv2d(x, offset, weight, None, *options[:3])

    def modulated(
        ctx: Any,
        x: Tensor,
        offset: Tensor,
        mask: Tensor,
        weight: Tensor,
        bias: Tensor,
        *options: Any,
    ) -> Tensor:
        return deform_conv2d(x, offset, weight, bias, *options[:3], mask)

    # Numbers of groups follow from the shapes.
    return [
        (DeformConv2dFunction, "forward", staticmethod(plain)),
        (ModulatedDeformConv2dFunction, "forward", staticmethod(modulated)),
    ]


def resizing_functions() -> list[tuple[ModuleType, str, Callable[..., Tensor]]]:
    """mmseg's ``resize`` in all modules; it computes with sizes, only to give advice."""
    if (wrappers := sys.modules.get("mmseg.models.utils.wrappers")) is None:
        return []
    modules = [module for name, module in sys.modules.items() if name.startswith("mmseg.")]
    users = [module for module in modules if vars(module).get("resize") is wrappers.resize]

    def plain(input: Tensor, *args: Any, warning: bool = False, **options: Any) -> Tensor:
        return F.interpolate(input, *args, **options)

    return [(module, "resize", plain) for module in users]


original_interpolate = F.interpolate


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    """As torch's; bilinear with aligned corners by two products, since torch fixes its size."""
    if mode != "bilinear" or not align_corners or size is None or input.ndim != 4:
        return original_interpolate(input, size, scale_factor, mode, align_corners, *args, **kwargs)
    targets = (size, size) if isinstance(size, int) else size
    rows, columns = (
        aligned_matrix(source, target, input)
        for source, target in zip(input.shape[-2:], targets, strict=True)
    )
    return rows @ input @ columns.T


def aligned_matrix(source: int, target: int, like: Tensor) -> Tensor:
    """(target, source): linear interpolation from first to last sample of a line."""
    places = torch.arange(target, device=like.device)[:, None] * (source - 1)
    places = places / torch.sym_max(target - 1, 1)
    samples = torch.arange(source, device=like.device)
    return (1 - (places - samples).abs()).clamp(min=0).to(like.dtype)


def linspace(start: float, end: float, steps: int, **options: Any) -> Tensor:
    """As torch's, of any number of steps."""
    step = (end - start) / torch.sym_max(steps - 1, 1)
    return start + step * torch.arange(steps, **options)


def adaptive_avg_pool2d(x: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """(..., H, W) -> (..., *output_size), as torch's, by means or two products."""
    if output_size in (1, (1, 1), [1, 1]):
        return x.mean(dim=(-2, -1), keepdim=True)
    if isinstance(output_size, int):
        output_size = (output_size, output_size)
    rows, columns = (
        pooling_matrix(source, source if target is None else target, x)
        for source, target in zip(x.shape[-2:], output_size, strict=True)
    )
    return rows @ x @ columns.T


def pooling_matrix(source: int, target: int, like: Tensor) -> Tensor:
    """(target, source): means of the stretches that adaptive pooling cuts a line into."""
    index = torch.arange(target, device=like.device)[:, None]
    first = index * source // target
    beyond = ((index + 1) * source + target - 1) // target
    samples = torch.arange(source, device=like.device)
    inside = (samples >= first) & (samples < beyond)
    return inside.to(like.dtype) / (beyond - first).to(like.dtype)
