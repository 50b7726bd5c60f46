"""Deformable convolution and attention."""

import torch
import torchvision  # noqa: F401, registers its operators
from torch import Tensor

from mmsmlp.ops.base import gradients, operator, single


def deform(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None
) -> list[Tensor]:
    """The tensors that torchvision's operator takes."""
    mask = input.new_zeros(len(input), 1) if mask is None else mask
    bias = input.new_zeros(len(weight)) if bias is None else bias
    return single(input, weight, offset, mask, bias)


@operator
def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fill `output` (N, C', H', W') with a deformable convolution (arXiv 1703.06211)."""
    options = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
    tensors = deform(input, weight, offset, None, None)
    output.copy_(torch.ops.torchvision.deform_conv2d(*tensors, *options))


@operator
def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Fill the gradients of input and offsets."""
    options = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
    found = deform_backward(grad_output, deform(input, weight, offset, None, None), options)
    grad_input.copy_(found[0])
    grad_offset.copy_(found[2])


@operator
def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Fill the gradient of the weight, times scale."""
    options = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group, False)
    tensors = deform(input, grad_weight, offset, None, None)
    grad_weight.copy_(deform_backward(grad_output, tensors, options)[1] * scale)


@operator
def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fill `output` with a convolution whose samples have weights, too (arXiv 1811.11168)."""
    places = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    offset, mask = (of_size(x, output) for x in (offset, mask))
    tensors = deform(input, weight, offset, mask, bias if with_bias else None)
    options = (*places, group, deformable_group, True)
    output.copy_(torch.ops.torchvision.deform_conv2d(*tensors, *options))


@operator
def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Fill the gradients of all tensors."""
    options = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
    offset, mask = (of_size(x, grad_output) for x in (offset, mask))
    tensors = deform(input, weight, offset, mask, bias if with_bias else None)
    found = deform_backward(grad_output, tensors, (*options, group, deformable_group, True))
    targets = [
        grad_input,
        grad_weight,
        *(of_size(x, grad_output) for x in (grad_offset, grad_mask)),
    ]
    for target, gradient in zip([*targets, *([grad_bias] * with_bias)], found, strict=False):
        target.copy_(gradient)


def of_size(x: Tensor, output: Tensor) -> Tensor:
    """Offsets or a mask as mmcv's operator reads them, which does not look at their size.

    DyHead gives those of a level to a convolution of the next, smaller level: the operator takes
    the first numbers of each image in the layout of the output, and leaves the rest alone.

    Args:
        x: (N, C, H, W), contiguous.
        output: (N, C', H', W'), not larger.

    Returns:
        A view of x, (N, C, H', W').
    """
    size = output.shape[-2:]
    if x.shape[-2:] == size:
        return x
    return x.view(len(x), -1)[:, : x.shape[1] * size.numel()].unflatten(1, (x.shape[1], *size))


def deform_backward(
    grad_output: Tensor, tensors: list[Tensor], options: tuple[int | bool, ...]
) -> tuple[Tensor, ...]:
    """Gradients of input, weight, offsets, mask and bias."""
    grad_output = grad_output.to(tensors[0].dtype)
    return torch.ops.torchvision._deform_conv2d_backward(grad_output, *tensors, *options)


@operator
def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Multi-scale deformable attention (arXiv 2010.04159), by mmcv's own function of torch.

    Args:
        value: (N, keys, heads, C)
        value_spatial_shapes: (levels, 2), height and width.
        value_level_start_index: Not used.
        sampling_locations: (N, queries, heads, levels, points, 2), x and y from 0 to 1.
        attention_weights: (N, queries, heads, levels, points)
        im2col_step: Not used.

    Returns:
        (N, queries, heads · C)
    """
    tensors = single(value, sampling_locations, attention_weights)
    return attend(value_spatial_shapes, *tensors).to(value.dtype)


@operator
def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Fill the gradients of values, locations and weights."""

    def forward(*tensors: Tensor) -> Tensor:
        return attend(value_spatial_shapes, *tensors)

    found = gradients(forward, [value, sampling_locations, attention_weights], grad_output)
    targets = [grad_value, grad_sampling_loc, grad_attn_weight]
    for target, gradient in zip(targets, found, strict=True):
        target.copy_(gradient)


def attend(shapes: Tensor, value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """As ms_deform_attn_forward, differentiable."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(value, shapes.tolist(), locations, weights)
