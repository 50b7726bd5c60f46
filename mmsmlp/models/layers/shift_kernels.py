"""Triton kernels of the shifted sum: one forward, one backward. Imported where a GPU runs them.

A program handles a few tokens and channels of one image. Tokens are ``(N, H, W, C)`` in memory, and
where each channel of each map moves is a table ``(K, 2, C)`` of steps down and to the right.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .shift_operator import TOKENS

CHANNELS = 32  # of a program, besides its tokens


@triton.jit
def _gelu(x):
    return 0.5 * x * (1.0 + tl.math.erf(x * 0.7071067811865476))


@triton.jit
def _gelu_slope(x):
    normal = tl.exp(-0.5 * x * x) * 0.3989422804014327
    return 0.5 * (1.0 + tl.math.erf(x * 0.7071067811865476)) + x * normal


@triton.jit
def _forward(
    maps,
    weights,
    table,
    out,
    H,
    W,
    C,
    K: tl.constexpr,
    WEIGHTED: tl.constexpr,
    GELU: tl.constexpr,
    BT: tl.constexpr,
    BC: tl.constexpr,
):
    t = tl.program_id(0) * BT + tl.arange(0, BT)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    n = tl.program_id(2).to(tl.int64)  # maps may have more than 2³¹ values
    inside = (t < H * W)[:, None] & (c < C)[None, :]
    h, w = (t // W)[:, None], (t % W)[:, None]
    total = tl.zeros([BT, BC], tl.float32)
    for k in tl.static_range(K):
        down = tl.load(table + (2 * k) * C + c, c < C, other=0)[None, :]
        right = tl.load(table + (2 * k + 1) * C + c, c < C, other=0)[None, :]
        y, x = h - down, w - right
        came = (y >= 0) & (y < H) & (x >= 0) & (x < W)
        source = tl.where(came, y * W + x, h * W + w)  # else the token stays
        at = maps + (n * H * W + source) * (K * C) + k * C + c[None, :]
        value = tl.load(at, inside, other=0).to(tl.float32)
        if GELU:
            value = _gelu(value)
        elif WEIGHTED:
            value *= tl.load(weights + (n * K + k) * C + c, c < C, other=0).to(tl.float32)[None, :]
        total += value
    tl.store(
        out + (n * H * W + t[:, None]) * C + c[None, :], total.to(out.dtype.element_ty), inside
    )


@triton.jit
def _backward(
    grad,
    maps,
    weights,
    table,
    grad_maps,
    products,
    H,
    W,
    C,
    K: tl.constexpr,
    WEIGHTED: tl.constexpr,
    GELU: tl.constexpr,
    BT: tl.constexpr,
    BC: tl.constexpr,
):
    t = tl.program_id(0) * BT + tl.arange(0, BT)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    n = tl.program_id(2).to(tl.int64)
    inside = (t < H * W)[:, None] & (c < C)[None, :]
    h, w = (t // W)[:, None], (t % W)[:, None]
    own = tl.load(grad + (n * H * W + t[:, None]) * C + c[None, :], inside, other=0).to(tl.float32)
    for k in tl.static_range(K):
        down = tl.load(table + (2 * k) * C + c, c < C, other=0)[None, :]
        right = tl.load(table + (2 * k + 1) * C + c, c < C, other=0)[None, :]
        y, x = h + down, w + right  # where the token went
        went = (y >= 0) & (y < H) & (x >= 0) & (x < W)
        at = grad + (n * H * W + y * W + x) * C + c[None, :]
        g = tl.load(at, inside & went, other=0).to(tl.float32)
        y, x = h - down, w - right  # where one may have come from, in its place
        came = (y >= 0) & (y < H) & (x >= 0) & (x < W)
        g += tl.where(came, 0.0, own)
        offset = (n * H * W + t[:, None]) * (K * C) + k * C + c[None, :]
        value = tl.load(maps + offset, inside, other=0).to(tl.float32)
        if WEIGHTED:
            # Products are summed where a token is read, so no neighbour of the maps is loaded.
            at = ((n * tl.num_programs(0) + tl.program_id(0)) * K + k) * C + c
            tl.store(products + at, tl.sum(tl.where(inside, g * value, 0.0), axis=0), c < C)
            g *= tl.load(weights + (n * K + k) * C + c, c < C, other=0).to(tl.float32)[None, :]
        elif GELU:
            g *= _gelu_slope(value)
        tl.store(grad_maps + offset, g.to(grad_maps.dtype.element_ty), inside)


def forward(maps: Tensor, weights: Tensor | None, table: Tensor, gelu: bool) -> Tensor:
    """See :func:`~mmsmlp.models.layers.shift_operator.fused_shift`; all tensors are contiguous."""
    n, height, width, _ = maps.shape
    num_maps, _, channels = table.shape
    y = maps.new_empty(n, height, width, channels)
    if y.numel():
        with torch.cuda.device_of(maps):
            _forward[_grid(y)](
                *(maps, maps if weights is None else weights, table, y, height, width, channels),
                *(num_maps, weights is not None, gelu, TOKENS, CHANNELS),
            )
    return y


def backward(
    grad: Tensor, maps: Tensor, weights: Tensor | None, table: Tensor, gelu: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of the maps, and of the weights in parts ``(N, parts, K, C)`` to be summed."""
    n, height, width, channels = grad.shape
    num_maps, weighted = len(table), weights is not None
    shape = (n, num_parts(height, width), num_maps, channels) if weighted else (0,)
    grad_maps, products = torch.empty_like(maps), maps.new_empty(shape, dtype=torch.float32)
    if grad.numel():
        with torch.cuda.device_of(maps):
            _backward[_grid(grad)](
                *(grad, maps, weights if weighted else maps, table, grad_maps, products),
                *(height, width, channels, num_maps, weighted, gelu, TOKENS, CHANNELS),
            )
    return grad_maps, products


def num_parts(height: int, width: int) -> int:
    """How many programs share the tokens of an image."""
    return -(-height * width // TOKENS)


def _grid(y: Tensor) -> tuple[int, int, int]:
    n, height, width, channels = y.shape
    return num_parts(height, width), -(-channels // CHANNELS), n
