"""Layers of tokens ``(N, H, W, C)``, the form in which exported graphs hold maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsmlp.models.layers import CentredLayerNorm2d, LayerNorm, LayerNorm2d

NHWC, NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def tokens_of(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C).

    By way of a matrix: behind a convolution, OpenVINO takes six times as long for a permutation of
    four axes as for this, where sizes are open.
    """
    return x.flatten(2).transpose(1, 2).unflatten(1, x.shape[2:])


def map_of(x: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W)."""
    return x.permute(NCHW)


class OfTokens(nn.Module):
    """A layer of maps, for tokens.

    Args:
        layer: ``(N, C_in, H, W) -> (N, C, H, W)``.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C_in) -> (N, H, W, C)."""
        return tokens_of(self.layer(map_of(x)))


class Scale(nn.Module):
    """Each channel times a number, plus another.

    Args:
        scale: ``(C,)``.
        offset: ``(C,)``; none if not given.
    """

    def __init__(self, scale: Tensor, offset: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach())
        self.register_buffer("offset", None if offset is None else offset.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        y = x * self.scale
        return y if self.offset is None else y + self.offset


class TokenNorm(nn.LayerNorm):
    """A layer norm of tokens in a row, which OpenVINO has as one operator; of a map it has not."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        return super().forward(x.flatten(1, 2)).unflatten(1, x.shape[1:3])


def token_norm(norm: nn.Module) -> nn.Module:
    """A norm of maps or tokens, in evaluation mode, for tokens."""
    if isinstance(norm, _BatchNorm) and norm.running_var is not None:
        scale = torch.rsqrt(norm.running_var + norm.eps)
        offset = -norm.running_mean * scale
        if norm.affine:
            scale, offset = scale * norm.weight, offset * norm.weight + norm.bias
        return Scale(scale, offset)
    if type(norm) in (nn.LayerNorm, LayerNorm, LayerNorm2d, CentredLayerNorm2d):
        of_tokens = TokenNorm(norm.normalized_shape, norm.eps)
        of_tokens.load_state_dict(dict(weight=norm.weight, bias=norm.bias))
        if isinstance(norm, CentredLayerNorm2d):
            of_tokens.bias.data -= norm.running_mean
        return of_tokens
    return norm if isinstance(norm, nn.Identity) else OfTokens(norm)
