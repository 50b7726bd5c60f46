"""A linear map along one axis of a tensor, in whatever order its memory has."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor


def axis_linear(x: Tensor, weight: Tensor, dim: int, add: Tensor | None = None) -> Tensor:
    """Multiply every line of ``x`` along an axis by a matrix.

    Rows, columns and channels of a map are all mapped by this. The result has its axes in the same
    order in memory as ``x``, and nothing is permuted on the way, whatever the order is: contiguous
    and channels last cost the same.

    Args:
        x: Any tensor.
        weight: ``(L_out, L_in)``, with L_in the length of the axis.
        dim: The axis.
        add: What to add to the products: a bias ``(L_out,)`` along the axis, or a tensor of the
            shape of the result.

    Returns:
        ``x`` with L_out in place of L_in.
    """
    dim %= x.ndim
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    axis = order.index(dim)
    shape = [x.shape[i] for i in order]
    shape[axis] = weight.shape[0]
    outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
    lines = x.permute(order).reshape(outer, weight.shape[1], inner)
    if add is not None:
        add = add[:, None] if add.ndim == 1 else add.permute(order).reshape(outer, -1, inner)
    if axis == x.ndim - 1:
        lines = lines.flatten(1)
        if add is None:
            y = lines @ weight.T
        else:
            y = torch.addmm(add.flatten() if add.ndim == 2 else add.flatten(1), lines, weight.T)
    else:
        weight = weight.expand(outer, -1, -1)
        y = torch.bmm(weight, lines) if add is None else torch.baddbmm(add, weight, lines)
    return y.view(shape).permute([order.index(i) for i in range(x.ndim)])
