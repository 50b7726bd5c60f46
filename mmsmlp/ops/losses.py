"""Focal loss."""

import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from mmsmlp.ops.base import gradients, operator, single


@operator
def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill `output` (N, C) with the loss of each score (arXiv 1708.02002, equation 5).

    Args:
        input: (N, C), before the sigmoid.
        target: (N,), classes; that of background is C.
        weight: (C,) by class of the target, or empty.
        output: (N, C)
        gamma: Exponent.
        alpha: Weight of the target's class; other classes have 1 - alpha.
    """
    output.copy_(focal_loss(*single(input), target, weight, gamma, alpha))


@operator
def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill `grad_input` (N, C) with the derivative of each loss by its score."""

    def forward(input: Tensor) -> Tensor:
        return focal_loss(input, target, weight, gamma, alpha)

    grad_input.copy_(*gradients(forward, [input], torch.ones_like(input)))


def focal_loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """(N, C), (N,) -> (N, C), differentiable."""
    classes = torch.arange(input.shape[1], device=input.device)
    one_hot = (target[:, None] == classes).to(input.dtype)
    loss = sigmoid_focal_loss(input, one_hot, alpha=alpha, gamma=gamma)
    return loss * weight[target, None] if weight.numel() else loss
