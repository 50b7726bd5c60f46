"""Operators on maps: reassembly of features, masked convolution, point-wise spatial attention."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmsmlp.ops.base import gradients, operator, single


@operator
def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Fill `output` with features reassembled by kernels (arXiv 1905.02188, equation 2).

    Args:
        features: (N, C, H, W)
        masks: (N, groups · kernel_size², sH, sW), a kernel for each token of the output.
        rfeatures: Like features; takes them for the backward pass.
        routput: Not used.
        rmasks: Not used.
        output: (N, C, sH, sW)
        kernel_size: Of the square that a token is made of.
        group_size: Number of groups of channels, each with its own kernels.
        scale_factor: s
    """
    rfeatures.copy_(features)
    output.copy_(reassemble(*single(features, masks), kernel_size, group_size, scale_factor))


@operator
def carafe_backward(
    grad_output: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rgrad_output: Tensor,
    rgrad_input_hs: Tensor,
    rgrad_input: Tensor,
    rgrad_masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Fill the gradients of features and kernels."""

    def forward(features: Tensor, masks: Tensor) -> Tensor:
        return reassemble(features, masks, kernel_size, group_size, scale_factor)

    found = gradients(forward, [rfeatures, masks], grad_output)
    grad_input.copy_(found[0])
    grad_masks.copy_(found[1])


@operator
def carafe_naive_forward(
    features: Tensor,
    masks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As carafe_forward."""
    output.copy_(reassemble(*single(features, masks), kernel_size, group_size, scale_factor))


@operator
def carafe_naive_backward(
    grad_output: Tensor,
    features: Tensor,
    masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As carafe_backward."""
    unused = (grad_output,) * 4
    options = (kernel_size, group_size, scale_factor)
    carafe_backward(grad_output, features, masks, *unused, grad_input, grad_masks, *options)


def reassemble(features: Tensor, masks: Tensor, kernel: int, groups: int, scale: int) -> Tensor:
    """As carafe_forward, differentiable."""
    height, width = features.shape[2:]
    padded = F.pad(features, (kernel // 2,) * 4).unflatten(1, (groups, -1))
    # (N, groups, kernel², H, s, W, s)
    masks = masks.unflatten(1, (groups, -1)).unflatten(-1, (width, scale))
    masks = masks.unflatten(3, (height, scale))
    output: Tensor | int = 0
    for place in range(kernel**2):
        top, left = divmod(place, kernel)
        window = padded[..., top : top + height, left : left + width]
        output = output + window[..., None, :, None] * masks[:, :, None, place]
    return output.flatten(5, 6).flatten(3, 4).flatten(1, 2)


@operator
def masked_im2col_forward(
    features: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    data_col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Fill `data_col` (C · kernel_h · kernel_w, M) with the surroundings of M tokens."""
    padded = F.pad(features[0], (pad_w, pad_w + kernel_w, pad_h, pad_h + kernel_h))
    rows = torch.arange(kernel_h, device=features.device)[:, None, None] + mask_h_idx
    columns = torch.arange(kernel_w, device=features.device)[:, None] + mask_w_idx
    data_col.copy_(padded[:, rows, columns].flatten(0, 2))


@operator
def masked_col2im_forward(
    col: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    im: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Write M tokens (C, M) to their places in `im` (1, C, H, W)."""
    im[0, :, mask_h_idx, mask_w_idx] = col.to(im.dtype)


@operator
def psamask_forward(
    input: Tensor,
    output: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Fill `output` (N, HW, H, W) with masks around each token (PSANet, ECCV 2018, section 3).

    Args:
        input: (N, h_mask · w_mask, H, W), a mask for each token, centred on it.
        output: By source and target if it collects, by target and source if it distributes.
        psa_type: 0 collects, 1 distributes.
        num_: N
        h_feature: H
        w_feature: W
        h_mask: Height of a mask.
        w_mask: Width of a mask.
        half_h_mask: Row of its centre.
        half_w_mask: Column of its centre.
    """
    index, inside = mask_index(
        *(h_feature, w_feature, h_mask, w_mask, half_h_mask, half_w_mask), input.device
    )
    found = input.flatten(2).gather(1, index.expand(num_, -1, -1)) * inside
    output.copy_((found.mT if psa_type else found).view_as(output))


@operator
def psamask_backward(
    grad_output: Tensor,
    grad_input: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Fill `grad_input` (N, h_mask · w_mask, H, W)."""
    index, inside = mask_index(
        *(h_feature, w_feature, h_mask, w_mask, half_h_mask, half_w_mask), grad_input.device
    )
    gradient = grad_output.flatten(2)
    gradient = (gradient.mT if psa_type else gradient) * inside
    flat = grad_input.view(num_, -1, h_feature * w_feature)
    flat.scatter_add_(1, index.expand(num_, -1, -1), gradient)


def mask_index(
    height: int,
    width: int,
    mask_height: int,
    mask_width: int,
    centre_row: int,
    centre_column: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Which entry of a token's mask covers another token, and whether one does: (HW, HW) each.

    Rows are the other tokens, columns those with the masks.
    """
    tokens = torch.arange(height * width, device=device)
    rows, columns = tokens // width, tokens % width
    row = rows[:, None] - rows + centre_row
    column = columns[:, None] - columns + centre_column
    inside = (row >= 0) & (row < mask_height) & (column >= 0) & (column < mask_width)
    return (row * mask_width + column) * inside, inside
