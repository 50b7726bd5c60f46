"""The spatial shift against the other forms that the literature gives of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmsmlp.models.layers.shift import (
    DOWN,
    IDENTITY_SHIFT,
    LEFT,
    RIGHT,
    SS1,
    SS2,
    UP,
    spatial_shift,
)

GOLDEN = Path(__file__).parents[2] / "data" / "spatial_shift_seed.npz"

# The settings of the first paper's ablation.
DIAGONALS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
SETTINGS = {
    "a": SS1,
    "b": (*SS1, *DIAGONALS),
    "c": (RIGHT, DOWN),
    "d": (LEFT, UP),
    "e": (RIGHT, LEFT),
    "f": (DOWN, UP),
    "g": (RIGHT,),
    "h": (LEFT,),
    "i": (DOWN,),
    "j": (UP,),
    "none": IDENTITY_SHIFT,
    "SS2": SS2,
}
SHAPES = [(2, 16, 6, 9), (1, 16, 1, 7), (1, 16, 7, 1), (2, 19, 5, 4), (1, 3, 2, 3)]


def per_channel(directions, channels: int) -> list[tuple[int, int]]:
    """The direction of every channel; those past the last full group stay."""
    size = channels // max(len(directions), 1)
    moves = [direction for direction in directions for _ in range(size)]
    return moves + [(0, 0)] * (channels - len(moves))


def by_index(x: Tensor, directions) -> Tensor:
    """Token by token, from the definition."""
    y = x.clone()
    height, width = x.shape[2:]
    for channel, (down, right) in enumerate(per_channel(directions, x.shape[1])):
        for i in range(height):
            for j in range(width):
                source = i - down, j - right
                if 0 <= source[0] < height and 0 <= source[1] < width:
                    y[:, channel, i, j] = x[:, channel, source[0], source[1]]
    return y


def by_roll(x: Tensor, directions) -> Tensor:
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    rolled = [
        torch.roll(padded[:, channel], direction, dims=(1, 2))
        for channel, direction in enumerate(per_channel(directions, x.shape[1]))
    ]
    return torch.stack(rolled, dim=1)[..., 1:-1, 1:-1]


def by_depthwise_conv(x: Tensor, directions) -> Tensor:
    kernels = torch.zeros(x.shape[1], 1, 3, 3)
    for kernel, (down, right) in zip(kernels, per_channel(directions, x.shape[1]), strict=True):
        kernel[0, 1 - down, 1 - right] = 1
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels, groups=x.shape[1])


def by_deformable_conv(x: Tensor, directions) -> Tensor:
    ops = pytest.importorskip("torchvision.ops")
    offsets = -torch.tensor(per_channel(directions, x.shape[1])).float()
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    offsets = offsets.view(1, -1, 1, 1).expand(x.shape[0], -1, *padded.shape[2:]).contiguous()
    y = ops.deform_conv2d(padded, offsets, torch.ones(x.shape[1], 1, 1, 1))
    return y[..., 1:-1, 1:-1]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", [by_roll, by_depthwise_conv, by_deformable_conv])
@pytest.mark.parametrize("setting", [name for name in SETTINGS if name != "b"])
def test_equals_the_other_forms_bit_for_bit(setting: str, form, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape)
    assert torch.equal(spatial_shift(x, SETTINGS[setting]), form(x, SETTINGS[setting]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_the_definition(
    memory_format: torch.memory_format, setting: str, shape: tuple[int, ...]
) -> None:
    """Diagonals too, where replicate padding would be another thing."""
    torch.manual_seed(0)
    x = torch.randn(shape).contiguous(memory_format=memory_format)
    before = x.clone()
    y = spatial_shift(x, SETTINGS[setting])
    assert torch.equal(y, by_index(x, SETTINGS[setting]))
    assert y.is_contiguous(memory_format=memory_format)
    assert torch.equal(x, before)


def test_worked_example() -> None:
    with np.load(GOLDEN) as golden:
        x, shift1, shift2 = (torch.from_numpy(golden[key]) for key in ("input", "shift1", "shift2"))
    assert torch.equal(spatial_shift(x, SS1), shift1)
    assert torch.equal(spatial_shift(x, SS2), shift2)


@pytest.mark.parametrize("setting", ["a", "b", "c"])
def test_gradients(setting: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 9, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: spatial_shift(x, SETTINGS[setting]), x)


def test_bad_directions_are_named() -> None:
    message = r"directions must be \(down, right\) of -1, 0 or 1, got \(\(0, 2\),\)"
    with pytest.raises(ValueError, match=message):
        spatial_shift(torch.zeros(1, 4, 2, 2), ((0, 2),))
