"""A pyramid of maps from those of a network that has none, or none with the usual strides."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import log2

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsmlp.models.layers import LayerNorm2d, check_int, check_ints
from mmsmlp.registry import MODELS


def rescale(x: Tensor, scale: Fraction) -> Tensor:
    """Bilinear resize by an exact factor at any size.

    Tokens keep their position in the image; a resize to the nearest integer size would stretch
    them.

    Args:
        x: ``(N, C, H, W)``.
        scale: The factor, at least a half; as a float, 28 / 25 times 25 would be above 28.

    Returns:
        ``(N, C, ⌈scale·H⌉, ⌈scale·W⌉)``.
    """
    up, down = scale.as_integer_ratio()
    height, width = (-(-length * up // down) for length in x.shape[-2:])
    # The resize rounds sizes down: two more tokens let it reach the last one.
    x = F.pad(x, (0, 2, 0, 2), mode="replicate")
    return F.interpolate(x, scale_factor=up / down, mode="bilinear")[..., :height, :width]


class Level(nn.Module):
    """One map of the pyramid: to its stride, then to its channels.

    Args:
        in_channels: Channels of the map it is made from.
        out_channels: Channels of the result.
        scale: Its size by that of the map it is made from.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: Fraction) -> None:
        super().__init__()
        doublings = round(log2(scale))
        if in_channels < 2**doublings:  # each halves them
            raise ValueError(
                f"in_channels must be at least {2**doublings} to make a level {2**doublings} times "
                f"as large, got {in_channels}"
            )
        self.scale = scale / Fraction(2) ** doublings
        layers: list[nn.Module] = []
        for i in range(doublings):
            if i > 0:
                layers += [LayerNorm2d(in_channels), nn.GELU()]
            layers.append(nn.ConvTranspose2d(in_channels, in_channels // 2, 2, stride=2))
            in_channels //= 2
        layers += [nn.MaxPool2d(2, ceil_mode=True) for _ in range(-doublings)]
        self.resize = nn.Sequential(*layers)
        self.project = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            LayerNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            LayerNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) -> (N, C_out, H', W'), with H' and W' ``scale`` times as much."""
        if self.scale != 1:
            x = rescale(x, self.scale)
        return self.project(self.resize(x))


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """The pyramid of ViTDet, from one map or several, of any strides.

    Source: arXiv 2203.16527, section 3. With as many inputs as levels, each level is made from its
    own; otherwise from the input whose stride is nearest. Transposed convolutions or max pooling
    lead there; where the two strides are no power of two apart, such as 14 and 16, a bilinear
    resize comes first.

    Args:
        in_channels: Channels of each input.
        in_strides: Stride of each input in pixels.
        out_channels: Channels of every output.
        out_strides: Strides of the outputs.
        num_outs: Number of outputs; those past ``out_strides`` are every other token of the one
            before. As many as ``out_strides`` if not given.
        init_cfg: Initialisation, as mmengine has it.

    Raises:
        TypeError: If an argument is of another type; the message names it.
        ValueError: If an argument is out of its range, ``in_channels`` and ``in_strides`` differ in
            number, no level is made from an input, or ``num_outs`` is below the number of
            ``out_strides``.

    Examples:
        >>> neck = SimpleFeaturePyramid([768], in_strides=[16])
        >>> [tuple(y.shape) for y in neck([torch.rand(1, 768, 14, 9)])]
        [(1, 256, 56, 36), (1, 256, 28, 18), (1, 256, 14, 9), (1, 256, 7, 5)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_channels: int = 256,
        out_strides: Sequence[int] = (4, 8, 16, 32),
        num_outs: int | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_ints("in_channels", in_channels)
        check_ints("in_strides", in_strides)
        check_ints("out_strides", out_strides)
        check_int("out_channels", out_channels)
        if not in_strides or not out_strides:
            raise ValueError("in_channels, in_strides and out_strides must not be empty")
        if len(in_channels) != len(in_strides):
            raise ValueError(
                "in_strides must be as many as in_channels, one per input, got "
                f"{list(in_strides)} and {list(in_channels)}"
            )
        if num_outs is None:
            num_outs = len(out_strides)
        check_int("num_outs", num_outs)
        if num_outs < len(out_strides):
            raise ValueError(
                f"num_outs must be at least {len(out_strides)}, the number of out_strides, got "
                f"{num_outs}"
            )
        sources = range(len(in_strides))
        if len(in_strides) != len(out_strides):
            sources = [
                min(sources, key=lambda i: abs(log2(in_strides[i] / stride)))
                for stride in out_strides
            ]
        if unused := set(range(len(in_strides))) - set(sources):
            raise ValueError(
                f"in_strides must each be the nearest to one of out_strides {list(out_strides)}, "
                f"got {[in_strides[i] for i in sorted(unused)]} of {list(in_strides)}"
            )
        self.in_channels = list(in_channels)
        self.num_outs = num_outs
        self.sources = sources
        self.levels = nn.ModuleList(
            Level(in_channels[i], out_channels, Fraction(in_strides[i], stride))
            for i, stride in zip(sources, out_strides, strict=True)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Make the pyramid.

        Args:
            inputs: Maps ``(N, in_channels[k], H_k, W_k)``.

        Returns:
            ``num_outs`` maps with ``out_channels``.

        Raises:
            ValueError: If ``inputs`` are not as many as ``in_channels``, or no such maps.
        """
        if len(inputs) != len(self.in_channels):
            raise ValueError(f"inputs must be {len(self.in_channels)} maps, got {len(inputs)}")
        for x, channels in zip(inputs, self.in_channels, strict=True):
            is_map = isinstance(x, Tensor) and x.is_floating_point() and x.ndim == 4
            if not is_map or x.shape[1] != channels or 0 in x.shape[2:]:
                got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
                raise ValueError(
                    f"inputs must be maps (N, C, H, W) of {self.in_channels} channels, got {got}"
                )
        outputs = [level(inputs[i]) for i, level in zip(self.sources, self.levels, strict=True)]
        while len(outputs) < self.num_outs:
            outputs.append(outputs[-1][..., ::2, ::2])
        # RoIAlign of mmcv takes any memory for contiguous.
        return tuple(y.contiguous() for y in outputs)
