"""A linear map along one axis of a tensor, in whatever order its memory has."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor


def axis_linear(x: Tensor, weight: Tensor, bias: Tensor, dim: int) -> Tensor:
    """``torch.nn.functional.linear`` along an axis of choice.

    The result has its axes in the same order in memory as ``x``, and nothing is permuted on the
    way: contiguous maps and those that are channels last cost the same.

    Args:
        x: A tensor with L_in entries along the axis.
        weight: ``(L_out, L_in)``.
        bias: ``(L_out,)``.
        dim: The axis.

    Returns:
        ``x`` with L_out in place of L_in.
    """
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    axis = order.index(dim % x.ndim)
    y = x.permute(order)
    if axis == x.ndim - 1:
        y = F.linear(y, weight, bias)
    else:
        before, after = y.shape[:axis], y.shape[axis + 1 :]
        lines = y.reshape(prod(before), y.shape[axis], prod(after))
        y = torch.baddbmm(bias[:, None], weight.expand(lines.shape[0], -1, -1), lines)
        y = y.view(*before, weight.shape[0], *after)
    return y.permute([order.index(i) for i in range(x.ndim)])
