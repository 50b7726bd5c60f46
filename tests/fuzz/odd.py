"""Settings and tensors as odd as users have them."""

import runpy
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from mmengine.utils import digit_version
from torch import Tensor

from mmsmlp.models.layers import Direction

TOOLS = Path(__file__).parents[2] / "tools"
TYPES = [torch.float32, torch.bfloat16, torch.float64]
if digit_version(torch.__version__) >= digit_version("2.3"):  # or CPUs can hardly anything in it
    TYPES.append(torch.float16)
# Few arguments can be any of these.
JUNK = st.sampled_from(
    (None, "x", "", -1, 0, 1.5, float("nan"), float("inf"), True, (), (1, 2, 3), [0], {}, {"x": 1})
)
# Of a file, most often all of it.
LENGTHS = st.integers(0, 1000).map(lambda length: min(length / 200, 1))


def cases(share: float) -> settings:
    """How many: a share of what the profile of hypothesis says."""
    return settings(
        max_examples=round(share * settings.default.max_examples),
        suppress_health_check=[HealthCheck.too_slow],
    )


def lengths(most: int = 400) -> st.SearchStrategy[int]:
    """From 1 on, and small ones more often."""
    return st.integers(1, 9) | st.integers(1, 64) | st.integers(1, most)


def directions() -> st.SearchStrategy[tuple[Direction, ...]]:
    axis = st.sampled_from((-1, 0, 1))
    return st.lists(st.tuples(axis, axis), max_size=5).map(tuple)


def _plain(*size: int) -> Tensor:
    return torch.randn(size)


def _channels_last(*size: int) -> Tensor:
    return torch.randn(size).contiguous(memory_format=torch.channels_last)


def _every_other(n: int, c: int, h: int, w: int) -> Tensor:
    return torch.randn(n, c, 2 * h, 2 * w)[..., ::2, 1::2]


def _part(n: int, c: int, h: int, w: int) -> Tensor:
    return torch.randn(n + 1, c + 1, h + 2, w + 3)[1:, 1:, 1:-1, 2:-1]


def _turned(n: int, c: int, h: int, w: int) -> Tensor:
    return torch.randn(w, n, h, c).permute(1, 3, 2, 0)


def _repeated(n: int, c: int, h: int, w: int) -> Tensor:
    return torch.randn(1, 1, h, w).expand(n, c, -1, -1)


LAYOUTS = (_plain, _channels_last, _every_other, _part, _turned, _repeated)


@st.composite
def maps(draw: st.DrawFn, channels: int, most: int = 400) -> Tensor:
    """(N, C, H, W) of any size, layout and scale; padded at times."""
    height, width = draw(lengths(most)), draw(lengths(most))
    size = draw(st.integers(0, 3 if height * width < 40_000 else 1)), channels, height, width
    torch.manual_seed(draw(st.integers(0, 1000)))
    x = draw(st.sampled_from(LAYOUTS))(*size) * draw(st.sampled_from((1.0, 0.0, 1e-3, 255.0)))
    for image in x:
        if draw(st.booleans()):
            image[:, draw(st.integers(0, height)) :] = 0
            image[:, :, draw(st.integers(0, width)) :] = 0
    return x


def odd_tensors() -> st.SearchStrategy[Any]:
    """What is no map of floating-point numbers with 1 to 4 channels."""
    sizes = [(), (3, 4, 4), (1, 5, 4, 4), (1, 3, 4, 4, 4), (1, 3, 0, 4), (1, 3, 4, 0), (0, 3, 0, 0)]
    types = torch.uint8, torch.int64, torch.bool, torch.complex64
    tensors = [*map(torch.zeros, sizes), *(torch.zeros(1, 3, 4, 4, dtype=t) for t in types)]
    return st.sampled_from([None, "x", [[1.0]], *tensors])


def outcome(tool: str, *arguments: object) -> str | None:
    """The line with which a tool fails, if it does; whatever else it raises is raised."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()):
        patch.setattr(sys, "argv", [tool, *map(str, arguments)])
        try:
            runpy.run_path(str(TOOLS / f"{tool}.py"), run_name="__main__")
        except SystemExit as stop:
            assert isinstance(stop.code, str), stop.code
            assert stop.code.startswith("error: ") and "\n" not in stop.code, stop.code
            return stop.code
    return None
