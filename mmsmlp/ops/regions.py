"""Operators that read regions of interest off a map.

Regions are (R, 5): the index of the image, then x1, y1, x2, y2 in pixels of the image, which
`spatial_scale` turns into tokens of the map.
"""

import torch
import torchvision  # noqa: F401, registers its operators
from torch import Tensor

from mmsmlp.ops.base import gradients, operator, single
from mmsmlp.ops.missing import raise_missing


@operator
def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `output` (R, C, h, w) with means of bilinear samples (arXiv 1703.06870, section 3)."""
    if pool_mode != 1:
        raise_missing("roi_align with pool_mode='max'")
    options = (spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned)
    output.copy_(torch.ops.torchvision.roi_align(*same(input, rois), *options))


@operator
def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `grad_input` (N, C, H, W)."""
    options = (spatial_scale, aligned_height, aligned_width, *grad_input.shape)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            *same(grad_output, rois), *options, sampling_ratio, aligned
        )
    )


@operator
def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fill `output` (R, C, h, w) with maxima of bins, `argmax` with where in the map they are.

    Unlike torchvision's roi_pool, mmcv's does not round regions to integer tokens. Bins without a
    token are 0 and have argmax -1.
    """
    width = input.shape[-1]
    (rois,) = single(rois)
    size = rois.new_tensor([pooled_width, pooled_height])
    limits = rois.new_tensor(input.shape[:1:-1])
    steps = torch.arange(max(pooled_width, pooled_height), device=rois.device)[:, None]
    argmax.fill_(-1)
    for region, (image, *corners) in enumerate(rois):
        start = torch.stack(corners[:2]) * spatial_scale
        extent = (torch.stack(corners[2:]) + 1) * spatial_scale - start
        if not extent.gt(0).all():
            continue
        first = (steps * (extent / size) + start).floor().clamp(min=0).minimum(limits)
        last = ((steps + 1) * (extent / size) + start).ceil().clamp(min=0).minimum(limits)
        bins = torch.stack([first, last], dim=-1).int().tolist()
        for row in range(pooled_height):
            top, bottom = bins[row][1]
            for column in range(pooled_width):
                left, right = bins[column][0]
                tokens = input[int(image), :, top:bottom, left:right]
                if tokens.numel():
                    best, index = tokens.flatten(1).max(1)
                    output[region, :, row, column] = best
                    y, x = index // (right - left), index % (right - left)
                    argmax[region, :, row, column] = (y + top) * width + x + left


@operator
def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Fill `grad_input` (N, C, H, W)."""
    _, channels, height, width = grad_input.shape
    plane = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    index = plane[..., None, None] * (height * width) + argmax
    found = argmax >= 0
    flat = grad_input.view(-1)
    flat.index_add_(0, index[found], grad_output[found].to(flat.dtype))


@operator
def deform_roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Fill `output` (R, C, h, w) with means of bins that are moved by `offset` (R, 2, h, w).

    Offsets are in parts of the region's size, times gamma (arXiv 1703.06211, section 2.2).
    """
    shape = (pooled_height, pooled_width)
    options = (shape, spatial_scale, sampling_ratio, gamma)
    output.copy_(deform_roi_pool(*same(input, rois, offset), *options))


@operator
def deform_roi_pool_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Fill the gradients of map and offsets."""
    shape = (pooled_height, pooled_width)
    input, rois, offset = same(input, rois, offset)

    def pool(input: Tensor, *offsets: Tensor) -> Tensor:
        moved = offsets[0] if offsets else offset
        return deform_roi_pool(input, rois, moved, shape, spatial_scale, sampling_ratio, gamma)

    wanted = [input, offset] if offset.numel() else [input]
    found = gradients(pool, wanted, grad_output)
    for target, gradient in zip([grad_input, grad_offset], found, strict=False):
        target.copy_(gradient)


def deform_roi_pool(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    shape: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> Tensor:
    """(N, C, H, W), (R, 5), (R, 2, h, w) or empty -> (R, C, h, w), differentiable."""
    height, width = shape
    corners = rois[:, 1:] * spatial_scale - 0.5
    starts, sizes = corners[:, :2], corners[:, 2:] - corners[:, :2]
    x, y = torch.meshgrid(
        torch.arange(width, device=rois.device),
        torch.arange(height, device=rois.device),
        indexing="xy",
    )
    steps = sizes / sizes.new_tensor([width, height])  # (R, 2): x, y
    bins = starts[:, :, None, None] + torch.stack([x, y]) * steps[:, :, None, None]
    if offset.numel():
        bins = bins + gamma * sizes[:, :, None, None] * offset
    counts = steps.ceil().long() if not sampling_ratio else steps.long() * 0 + sampling_ratio
    output = input.new_zeros(len(rois), input.shape[1], height, width)
    # Regions with the same grid of samples together: (K, h, w, rows, columns).
    for grid in counts.unique(dim=0):
        chosen = (counts == grid).all(1).nonzero()[:, 0]
        columns, rows = ((torch.arange(int(n), device=rois.device) + 0.5) / n for n in grid)
        first, step = bins[chosen, ..., None, None], steps[chosen, ..., None, None, None, None]
        x = first[:, 0] + columns * step[:, 0]
        y = first[:, 1] + rows[:, None] * step[:, 1]
        image = rois[chosen, 0].long()[:, None, None, None, None]
        means = bilinear(input, image, x, y).sum((3, 4)) / max(int(grid.prod()), 1)
        output = output.index_put((chosen,), means.permute(0, 3, 1, 2))
    return output


def bilinear(input: Tensor, image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(N, C, H, W) at (...) -> (..., C); as on the border for a token beyond it, then zero."""
    height, width = input.shape[2:]
    inside = (x >= -1) & (x <= width) & (y >= -1) & (y <= height)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    left, top = x.detach().long(), y.detach().long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    x, y = (x - left)[..., None], (y - top)[..., None]
    upper = input[image, :, top, left] * (1 - x) + input[image, :, top, right] * x
    lower = input[image, :, bottom, left] * (1 - x) + input[image, :, bottom, right] * x
    return (upper * (1 - y) + lower * y) * inside[..., None]


def same(x: Tensor, *others: Tensor) -> list[Tensor]:
    """Single precision instead of half; the others in the precision of the first."""
    (x,) = single(x)
    return [x, *(other.to(x.dtype) for other in others)]
