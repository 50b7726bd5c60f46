"""Shift and weighted sum, or shift and GELU, as one CUDA kernel forward and one backward."""

from __future__ import annotations

import importlib
import os
import warnings
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .recording import is_recording

# `MMSMLP_FUSED=0` in the environment keeps to torch's own operators.
SWITCH = "MMSMLP_FUSED"
TOKENS = 64  # of an image in one part of the gradient of its weights
TOLERANCES = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}
HAS_CUSTOM_OPS = hasattr(torch.library, "custom_op")  # since torch 2.4


def can_fuse(x: Tensor) -> bool:
    """Whether the kernels support a tensor: on CUDA, if they give correct results."""
    return (
        x.is_cuda
        and HAS_CUSTOM_OPS
        and x.dtype in TOLERANCES
        and os.environ.get(SWITCH) != "0"
        and not is_recording()  # compilers fuse the plain form
        and _Kernels.failure is None
    )


def fused_shift(
    maps: Tensor,
    table: Tensor,
    weights: Tensor | None = None,
    gelu: bool = False,
) -> Tensor:
    r"""The sum of shifted maps, weighted or behind a GELU.

    With weights :math:`\sum_k w_k \odot \mathrm{shift}_k(x_k)`, with ``gelu``
    :math:`\sum_k \mathrm{GELU}(\mathrm{shift}_k(x_k))`; not both.

    Args:
        maps: ``(N, H, W, K·C)``, K maps one after the other.
        table: ``(K, 2, C)`` of int32, the steps down and to the right of each channel of each map.
        weights: ``(N, K, C)``, of each map and channel.
        gelu: Whether there is a GELU.

    Returns:
        ``(N, H, W, C)``.
    """
    maps = maps.contiguous()
    weights = weights if weights is None else weights.contiguous()
    return torch.ops.mmsmlp.fused_shift(maps, weights, table, gelu)


def plain_shift(maps: Tensor, weights: Tensor | None, table: Tensor, gelu: bool) -> Tensor:
    """:func:`fused_shift` as gathers, on any device."""
    source = _sources(maps, table)
    values = _gather(maps, source, len(table))
    if gelu:
        values = F.gelu(values)
    if weights is not None:
        values = values * weights[:, None].to(values.dtype)
    return values.sum(dim=2).view(*maps.shape[:3], table.shape[2])


def plain_gradients(
    grad: Tensor,
    maps: Tensor,
    weights: Tensor | None,
    table: Tensor,
    gelu: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of the maps, and of the weights ``(N, 1, K, C)``, likewise."""
    source = _sources(maps, table)
    grads = grad.flatten(1, 2)[:, :, None].expand(-1, -1, len(table), -1)  # (N, H·W, K, C)
    products = maps.new_empty(0)
    if weights is not None:
        values = _gather(maps, source, len(table))
        products = (grads * values).sum(dim=1, keepdim=True, dtype=torch.float32)
        grads = grads * weights[:, None].to(grads.dtype)
    elif gelu:
        grads = torch.ops.aten.gelu_backward(grads, _gather(maps, source, len(table)))
    grad_maps = torch.zeros(grads.shape, dtype=maps.dtype, device=maps.device)
    grad_maps.scatter_add_(1, source.expand_as(grads), grads.contiguous())
    return grad_maps.view(maps.shape), products


def _sources(maps: Tensor, table: Tensor) -> Tensor:
    """(H·W, K, C), the token that each token takes."""
    height, width = maps.shape[1:3]
    tokens = torch.arange(height * width, device=maps.device)[:, None, None]
    y, x = tokens // width - table[:, 0], tokens % width - table[:, 1]
    came = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return torch.where(came, y * width + x, tokens)


def _gather(maps: Tensor, source: Tensor, num_maps: int) -> Tensor:
    """(N, H, W, K·C) -> (N, H·W, K, C)."""
    values = maps.reshape(len(maps), -1, num_maps, source.shape[2])
    return values.gather(1, source.expand(len(maps), -1, -1, -1))


class _Kernels:
    """The Triton kernels, or why they are not used."""

    failure: str | None = None

    @classmethod
    def of(cls, maps: Tensor, weights: Tensor | None, gelu: bool):
        """The module of kernels; None if Triton does not run them or gives wrong results."""
        if not maps.is_cuda or cls.failure is not None:
            return None
        form = maps.dtype, weights is not None, gelu
        try:
            return cls._checked(maps.device, *form)
        except Exception as error:  # any error from Triton, its compiler or the driver
            cls.failure = f"{type(error).__name__}: {error}".splitlines()[0]
            warnings.warn(
                f"the fused shift does not run on {maps.device}, torch's operators take its place "
                f"({cls.failure}); {SWITCH}=0 silences this",
                stacklevel=2,
            )
            return None

    @staticmethod
    @lru_cache(maxsize=64)
    def _checked(device: torch.device, dtype: torch.dtype, weighted: bool, *flags: bool):
        """The kernels, once they agreed with the plain form on a small example.

        Raises:
            ArithmeticError: If they do not.
        """
        kernels = importlib.import_module(f"{__package__}.shift_kernels")
        check_kernels(kernels, device, dtype, weighted, *flags)
        return kernels


def check_kernels(
    kernels, device: torch.device, dtype: torch.dtype, weighted: bool, gelu: bool
) -> None:
    """Compare kernels with the plain form in single precision, forward and backward.

    Raises:
        ArithmeticError: If they differ.
    """
    generator = torch.Generator(device).manual_seed(0)  # nobody else's random numbers change

    def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    num_maps, channels = (3, 37) if weighted else (1, 37)
    steps = torch.randint(-2, 3, (num_maps, 2, channels), generator=generator, device=device)
    table = steps.to(torch.int32)
    maps, grad = noise(2, 9, 11, num_maps * channels, dtype=dtype), noise(2, 9, 11, channels)
    grad, weights = grad.to(dtype), noise(2, num_maps, channels) if weighted else None
    rest = table, gelu
    y = kernels.forward(maps, weights, *rest)
    grad_maps, products = kernels.backward(grad, maps, weights, *rest)
    expected = plain_gradients(grad.float(), maps.float(), weights, *rest)
    pairs = [(y, plain_shift(maps.float(), weights, *rest)), (grad_maps, expected[0])]
    if weighted:
        pairs.append((products.sum(dim=1), expected[1].sum(dim=1)))
    for ours, theirs in pairs:
        difference = (ours.float() - theirs).abs().max() / theirs.abs().max()
        if not difference <= TOLERANCES[dtype]:
            raise ArithmeticError(f"a relative difference of {difference:.1e} in {dtype}")


def _define_operators() -> None:
    arguments = "Tensor maps, Tensor? weights, Tensor table, bool gelu"

    @torch.library.custom_op(
        "mmsmlp::fused_shift", mutates_args=(), schema=f"({arguments}) -> Tensor"
    )
    def forward(maps, weights, table, gelu):
        kernels = _Kernels.of(maps, weights, gelu)
        run = plain_shift if kernels is None else kernels.forward
        return run(maps, weights, table, gelu)

    @forward.register_fake
    def _(maps, weights, table, gelu):
        return maps.new_empty(*maps.shape[:3], table.shape[2])

    @torch.library.custom_op(
        "mmsmlp::fused_shift_backward",
        mutates_args=(),
        schema=f"(Tensor grad, {arguments}) -> (Tensor, Tensor)",
    )
    def backward(grad, maps, weights, table, gelu):
        kernels = _Kernels.of(maps, weights, gelu)
        run = plain_gradients if kernels is None else kernels.backward
        return run(grad, maps, weights, table, gelu)

    @backward.register_fake
    def _(grad, maps, weights, table, gelu):
        parts = -(-grad.shape[1] * grad.shape[2] // TOKENS)
        shape = (0,) if weights is None else (len(maps), parts, len(table), table.shape[2])
        return torch.empty_like(maps), maps.new_empty(shape, dtype=torch.float32)

    def save(ctx, inputs, output) -> None:
        maps, weights, table, *ctx.flags = inputs
        ctx.save_for_backward(maps, weights, table)

    def gradients(ctx, grad):
        maps, weights, table = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second backward pass will follow
            y = plain_shift(maps, weights, table, *ctx.flags)
            inputs = [maps] if weights is None else [maps, weights]
            grads = torch.autograd.grad(y, inputs, grad, create_graph=True)
            return *grads, *[None] * (4 - len(grads))
        grad_maps, products = torch.ops.mmsmlp.fused_shift_backward(
            grad.contiguous(), maps, weights, table, *ctx.flags
        )
        if weights is None:
            return grad_maps, None, None, None
        return grad_maps, products.sum(dim=1).to(weights.dtype), None, None

    forward.register_autograd(gradients, setup_context=save)


if HAS_CUSTOM_OPS:
    _define_operators()
